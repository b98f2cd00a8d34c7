//! What `/proc` says of processes (proc(5)). Without `/proc` nothing is known.

/// What `/proc/PID/stat` says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    /// Whether it has exited, and its parent has not noticed.
    pub is_zombie: bool,
    /// Its parent.
    pub parent: u32,
    /// When the kernel started it, in clock ticks since boot.
    pub start_ticks: u64,
}

/// Reads the state of a process.
pub(crate) fn stat(pid: u32) -> Option<Stat> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, which may itself contain spaces and
    // parentheses.
    let after_name = &stat[stat.rfind(')')? + 1..];
    let mut fields = after_name.split_ascii_whitespace();
    Some(Stat {
        // Fields 3, 4 and 22.
        is_zombie: matches!(fields.next()?, "Z" | "X"),
        parent: fields.next()?.parse().ok()?,
        start_ticks: fields.nth(17)?.parse().ok()?,
    })
}

/// When the kernel started a process, in clock ticks since boot. Returns `None` if there is no such
/// process, or only a zombie. Together with its number it identifies a process.
pub fn start_ticks(pid: u32) -> Option<u64> {
    let stat = stat(pid)?;
    (!stat.is_zombie).then_some(stat.start_ticks)
}

/// The numbers of all processes.
pub(crate) fn processes() -> impl Iterator<Item = u32> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|folder| folder.file_name().to_str()?.parse().ok())
}

/// The environment that a process was started with. Other users' processes have none to read.
pub(crate) fn environment(pid: u32) -> Option<Vec<u8>> {
    std::fs::read(format!("/proc/{pid}/environ")).ok()
}

/// The value of a variable in the environment of a process.
pub(crate) fn variable<'e>(environment: &'e [u8], name: &str) -> Option<&'e str> {
    // If a name occurs twice, the last one counts.
    environment
        .split(|&byte| byte == 0)
        .rev()
        .filter_map(|variable| std::str::from_utf8(variable).ok())
        .filter_map(|variable| variable.split_once('='))
        .find(|(other, _)| *other == name)
        .map(|(_, value)| value)
}

/// This process, its parent, and so on.
pub(crate) fn ancestors() -> Vec<u32> {
    let mut found = vec![std::process::id()];
    while let Some(stat) = found.last().and_then(|&pid| stat(pid)) {
        // The first process, and processes outside a container, end the list.
        if stat.parent <= 1 || found.contains(&stat.parent) {
            break;
        }
        found.push(stat.parent);
    }
    found
}
