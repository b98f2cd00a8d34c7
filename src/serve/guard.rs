//! Who may see a sweep: everyone on this machine, or everyone who has the token; and only under
//! this machine's names, so that no web site can look at it through the browser of a person who may
//! (DNS rebinding).

use std::net::{IpAddr, SocketAddr};

use subtle::ConstantTimeEq;

/// The secret of a page, which its URL contains.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Creates a token from the operating system's random numbers.
    ///
    /// # Errors
    /// The operating system's.
    pub fn new() -> std::io::Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(format!("{:032x}", u128::from_be_bytes(bytes))))
    }

    /// Returns the token as the URL contains it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the token is the one that was given, compared in constant time: the duration shows
    /// only whether the lengths agree.
    fn is(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }
}

/// Who may see a page.
#[derive(Clone)]
pub struct Guard {
    /// The address that is listened to.
    address: IpAddr,
    port: u16,
    /// The name by which the address was given, if it was.
    name: Option<String>,
    /// This machine's name.
    host: String,
    token: Option<Token>,
}

/// Whether a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is answered.
    Welcome,
    /// It was sent to a name that is not this machine's.
    WrongHost,
    /// It has no token, or a wrong one.
    NoToken,
}

impl Guard {
    /// A guard of the page at an address, which was given by `name`, if by any.
    pub fn new(
        address: SocketAddr,
        name: Option<String>,
        host: String,
        token: Option<Token>,
    ) -> Self {
        Self {
            address: address.ip(),
            port: address.port(),
            name,
            host,
            token,
        }
    }

    /// Returns the URL of the page. Browsers do not send the part after `#`: only the page's script
    /// reads the token.
    pub fn url(&self) -> String {
        let host = match (&self.name, self.address) {
            (Some(name), _) => name.clone(),
            (None, address) if address.is_unspecified() => self.host.clone(),
            (None, IpAddr::V6(address)) => format!("[{address}]"),
            (None, IpAddr::V4(address)) => address.to_string(),
        };
        let token = self
            .token
            .as_ref()
            .map_or(String::new(), |token| format!("#token={}", token.as_str()));
        format!("http://{host}:{}/{token}", self.port)
    }

    /// Judges a request by its headers `Host` and `Authorization`. The page's own files hold
    /// nothing of a sweep: `open`.
    pub fn judge(&self, host: Option<&str>, authorization: Option<&str>, open: bool) -> Verdict {
        if !host.is_some_and(|host| self.is_own(host)) {
            return Verdict::WrongHost;
        }
        let given = authorization.and_then(bearer);
        match &self.token {
            Some(token) if !open && !given.is_some_and(|given| token.is(given)) => Verdict::NoToken,
            _ => Verdict::Welcome,
        }
    }

    /// Whether a `Host` header names this machine. The port may be another one, as through an SSH
    /// tunnel.
    fn is_own(&self, header: &str) -> bool {
        let name = match header.strip_prefix('[') {
            Some(rest) => rest.split_once(']').map_or("", |(address, _)| address),
            None => header.rsplit_once(':').map_or(header, |(name, _)| name),
        };
        // An address is not looked up in the DNS, so it cannot have been turned there.
        let address = name.parse::<IpAddr>().ok();
        let local = name.eq_ignore_ascii_case("localhost")
            || address.is_some_and(|address| address.is_loopback());
        let given = self
            .name
            .as_ref()
            .is_some_and(|given| given.eq_ignore_ascii_case(name));
        let named = !self.host.is_empty()
            && first_label(name).eq_ignore_ascii_case(first_label(&self.host))
            && address.is_none();
        local || given || (!self.address.is_loopback() && (address.is_some() || named))
    }
}

/// The part of a host's name before the first dot.
fn first_label(name: &str) -> &str {
    name.split('.').next().unwrap_or_default()
}

/// The token of an `Authorization` header.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(address: &str, name: Option<&str>, token: bool) -> Guard {
        let address = SocketAddr::new(address.parse().unwrap(), 8055);
        let token = token.then(|| Token("secret".into()));
        Guard::new(
            address,
            name.map(str::to_owned),
            "gpu7.example.org".into(),
            token,
        )
    }

    #[test]
    fn only_this_machines_own_names_are_answered() {
        let host = |guard: &Guard, host| guard.judge(host, None, true) != Verdict::WrongHost;
        let local = guard("127.0.0.1", None, false);
        for name in [
            "localhost:8055",
            "127.0.0.1:8055",
            "[::1]:8055",
            "LOCALHOST",
            "localhost:9000",
        ] {
            assert!(host(&local, Some(name)), "{name}");
        }
        for name in [
            "evil.example:8055",
            "10.0.0.1:8055",
            "gpu7:8055",
            "localhost.evil.example",
            "",
            "[",
            "127.0.0.1.evil.example",
        ] {
            assert!(!host(&local, Some(name)), "{name}");
        }
        assert!(!host(&local, None));
        let open = guard("0.0.0.0", None, true);
        for name in [
            "gpu7:8055",
            "gpu7.example.org",
            "10.0.0.1:8055",
            "[fe80::1]:8055",
            "localhost:1",
        ] {
            assert!(host(&open, Some(name)), "{name}");
        }
        assert!(!host(&open, Some("evil.example:8055")));
        let named = guard("127.0.0.1", Some("sweeps.internal"), false);
        assert!(host(&named, Some("Sweeps.internal:8055")) && !host(&named, Some("internal:8055")));
    }

    #[test]
    fn without_the_token_there_is_nothing_to_see() {
        let open = guard("0.0.0.0", None, true);
        let judge = |authorization, page| open.judge(Some("gpu7:8055"), authorization, page);
        for wrong in [
            None,
            Some("Bearer wrong"),
            Some("secret"),
            Some("Bearer "),
            Some("Basic secret"),
            Some("Bearer secret2"),
        ] {
            assert_eq!(judge(wrong, false), Verdict::NoToken, "{wrong:?}");
        }
        for right in ["Bearer secret", "bearer  secret"] {
            assert_eq!(judge(Some(right), false), Verdict::Welcome, "{right}");
        }
        assert_eq!(judge(None, true), Verdict::Welcome, "the page itself");
        assert_eq!(open.url(), "http://gpu7.example.org:8055/#token=secret");
        assert_eq!(guard("::1", None, false).url(), "http://[::1]:8055/");
        assert_eq!(
            guard("127.0.0.1", Some("localhost"), false).url(),
            "http://localhost:8055/"
        );
        let [a, b] = [Token::new().unwrap(), Token::new().unwrap()];
        assert!(a.as_str().len() == 32 && a.as_str() != b.as_str());
    }
}
