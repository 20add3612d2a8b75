//! How many files the process may have open.

/// Returns how many files the process may have open at a time: the soft limit of `RLIMIT_NOFILE`, as
/// it is now. `None` where there is no limit, or no such limit on this system. It is for
/// [`Listener::max_open_files`](sansse::net::Listener::max_open_files).
pub fn max_open_files() -> Option<u64> {
    limit::open_files()
}

#[cfg(all(
    unix,
    not(any(
        target_os = "espidf",
        target_os = "fuchsia",
        target_os = "horizon",
        target_os = "redox",
        target_os = "vita"
    ))
))]
mod limit {
    use rustix::process::{Resource, getrlimit};

    pub(super) fn open_files() -> Option<u64> {
        getrlimit(Resource::Nofile).current
    }
}

#[cfg(not(all(
    unix,
    not(any(
        target_os = "espidf",
        target_os = "fuchsia",
        target_os = "horizon",
        target_os = "redox",
        target_os = "vita"
    ))
)))]
mod limit {
    pub(super) fn open_files() -> Option<u64> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_that_of_the_process() {
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let soft = line.split_whitespace().nth(3).unwrap();
        assert_eq!(max_open_files(), soft.parse().ok(), "{line}");
    }
}
