//! Who may see the page: whoever is on this machine, or whoever has the token; and only under a name that is ours, so that no
//! web site can look at it through the browser of somebody who may (DNS rebinding).

use std::net::IpAddr;

use rand_chacha::rand_core::{Rng, SeedableRng};

/// A word that is given to those who may see the page.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A new one, of the operating system's randomness.
    ///
    /// # Errors
    /// The operating system's.
    pub fn new() -> std::io::Result<Self> {
        let mut seed = [0_u8; 32];
        std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut seed)?;
        let mut rng = rand_chacha::ChaCha20Rng::from_seed(seed);
        Ok(Self(format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64())))
    }

    /// As it stands in the URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the one that somebody gave. Hashes are compared in constant time, so that the answer's time tells nothing.
    fn is(&self, given: &str) -> bool {
        blake3::hash(self.0.as_bytes()) == blake3::hash(given.as_bytes())
    }
}

/// Who may see a page.
#[derive(Clone)]
pub struct Guard {
    /// The address that is listened to.
    address: IpAddr,
    /// The port, which tells our cookie from those of other sweeps.
    port: u16,
    /// This machine's name.
    host: String,
    token: Option<Token>,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is answered.
    Welcome,
    /// The token came in the URL: it goes into a cookie, and out of the address bar.
    Keep(String),
    /// It was sent to a name that is not ours.
    WrongHost,
    /// It has no token, or a wrong one.
    NoToken,
}

impl Guard {
    /// A guard of the page at an address.
    pub fn new(address: IpAddr, port: u16, host: String, token: Option<Token>) -> Self {
        Self { address, port, host, token }
    }

    /// The URL by which the page can be seen.
    pub fn url(&self) -> String {
        let host = match self.address {
            address if address.is_unspecified() => self.host.clone(),
            IpAddr::V6(address) => format!("[{address}]"),
            IpAddr::V4(address) => address.to_string(),
        };
        let token = self.token.as_ref().map_or(String::new(), |token| format!("?token={}", token.as_str()));
        format!("http://{host}:{}/{token}", self.port)
    }

    /// Judges a request by its headers `Host`, `Cookie` and `Authorization` and the token in its URL.
    pub fn judge(&self, host: Option<&str>, cookies: &[&str], bearer: Option<&str>, in_url: Option<&str>) -> Verdict {
        if !host.is_some_and(|host| self.is_ours(host)) {
            return Verdict::WrongHost;
        }
        let Some(token) = &self.token else { return Verdict::Welcome };
        let name = format!("pentagrid-{}", self.port);
        let kept = cookies
            .iter()
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .any(|(key, value)| key == name && token.is(value));
        if in_url.is_some_and(|given| token.is(given)) {
            return Verdict::Keep(format!("{name}={}; HttpOnly; SameSite=Lax; Path=/", token.as_str()));
        }
        let bearer = bearer.and_then(|header| header.strip_prefix("Bearer "));
        if kept || bearer.is_some_and(|given| token.is(given)) { Verdict::Welcome } else { Verdict::NoToken }
    }

    /// Whether a `Host` header names this machine. The port may be another one, as through an SSH tunnel.
    fn is_ours(&self, header: &str) -> bool {
        let name = match header.strip_prefix('[') {
            Some(rest) => rest.split_once(']').map_or("", |(address, _)| address),
            None => header.rsplit_once(':').map_or(header, |(name, _)| name),
        };
        // An address is not looked up in the DNS, so nobody can have turned it.
        let address = name.parse::<IpAddr>().ok();
        let local = name.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback());
        let short = |name: &str| name.split('.').next().unwrap_or_default().to_ascii_lowercase();
        let named = !self.host.is_empty() && short(name) == short(&self.host) && address.is_none();
        local || (!self.address.is_loopback() && (address.is_some() || named))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(address: &str, token: bool) -> Guard {
        Guard::new(address.parse().unwrap(), 8055, "gpu7.example.org".into(), token.then(|| Token("secret".into())))
    }

    #[test]
    fn only_our_own_names_are_answered() {
        let host = |guard: &Guard, host| guard.judge(host, &[], None, None) != Verdict::WrongHost;
        let local = guard("127.0.0.1", false);
        for name in ["localhost:8055", "127.0.0.1:8055", "[::1]:8055", "LOCALHOST", "localhost:9000"] {
            assert!(host(&local, Some(name)), "{name}");
        }
        for name in
            ["evil.example:8055", "10.0.0.1:8055", "gpu7:8055", "localhost.evil.example", "", "[", "127.0.0.1.evil.example"]
        {
            assert!(!host(&local, Some(name)), "{name}");
        }
        assert!(!host(&local, None));
        let open = guard("0.0.0.0", true);
        for name in ["gpu7:8055", "gpu7.example.org", "10.0.0.1:8055", "[fe80::1]:8055", "localhost:1"] {
            assert!(host(&open, Some(name)), "{name}");
        }
        assert!(!host(&open, Some("evil.example:8055")));
    }

    #[test]
    fn without_the_token_there_is_nothing_to_see() {
        let open = guard("0.0.0.0", true);
        let judge = |cookies: &[&str], bearer, url| open.judge(Some("gpu7:8055"), cookies, bearer, url);
        assert_eq!(judge(&[], None, None), Verdict::NoToken);
        assert_eq!(judge(&["pentagrid-8055=wrong", "other=secret"], Some("Bearer wrong"), Some("wrong")), Verdict::NoToken);
        assert_eq!(judge(&["pentagrid-8056=secret"], Some("secret"), Some("")), Verdict::NoToken);
        assert_eq!(judge(&["a=b; pentagrid-8055=secret"], None, None), Verdict::Welcome);
        assert_eq!(judge(&[], Some("Bearer secret"), None), Verdict::Welcome);
        assert!(matches!(judge(&[], None, Some("secret")), Verdict::Keep(cookie) if cookie.contains("HttpOnly")));
        assert_eq!(open.url(), "http://gpu7.example.org:8055/?token=secret");
        assert_eq!(guard("::1", false).url(), "http://[::1]:8055/");
        let [a, b] = [Token::new().unwrap(), Token::new().unwrap()];
        assert!(a.as_str().len() == 32 && a.as_str() != b.as_str());
    }
}
