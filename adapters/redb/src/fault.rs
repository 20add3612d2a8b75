//! What the file, the system and redb say, as [`LogError`]s; and panics of redb, caught.

use sansse::cluster::{LogError, LogErrorKind};
use std::any::Any;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Says what an error of redb is to a node.
pub(crate) fn of(error: impl Into<redb::Error>) -> LogError {
    match error.into() {
        redb::Error::Io(error) => of_io(&error),
        redb::Error::DatabaseAlreadyOpen => LogErrorKind::Locked.into(),
        redb::Error::PreviousIo | redb::Error::DatabaseClosed => {
            unreachable("an error came before this")
        }
        error => malformed(error.to_string()),
    }
}

/// Says what an error of the system is to a node.
pub(crate) fn of_io(error: &io::Error) -> LogError {
    let kind = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            LogErrorKind::Full
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => LogErrorKind::Denied,
        ErrorKind::WouldBlock => LogErrorKind::Locked,
        // A file that ends too early, or that is none of redb's.
        ErrorKind::UnexpectedEof | ErrorKind::InvalidData => LogErrorKind::Malformed,
        _ => LogErrorKind::Unreachable,
    };
    LogError::new(kind).with_detail(match kind {
        LogErrorKind::Malformed => format!("the file is no store, or is cut off: {error}"),
        _ => error.to_string(),
    })
}

pub(crate) fn malformed(detail: impl Into<String>) -> LogError {
    LogError::new(LogErrorKind::Malformed).with_detail(detail.into())
}

pub(crate) fn unreachable(detail: &'static str) -> LogError {
    LogError::new(LogErrorKind::Unreachable).with_detail(detail)
}

pub(crate) fn not_ready(detail: &'static str) -> LogError {
    LogError::new(LogErrorKind::NotReady).with_detail(detail)
}

/// Calls redb. It panics where a file contradicts itself, which is an error like others here.
pub(crate) fn guarded<T>(call: impl FnOnce() -> Result<T, LogError>) -> Result<T, LogError> {
    // A caller that gets the error drops what the call worked on, and opens the file anew.
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(malformed(words(&*panic))))
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("the file contradicts itself: {}", text.unwrap_or("no reason was given"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_system_says_what_it_is_to_a_node() {
        let kind = |kind: ErrorKind| of_io(&kind.into()).kind();
        assert_eq!(kind(ErrorKind::StorageFull), LogErrorKind::Full);
        assert_eq!(kind(ErrorKind::QuotaExceeded), LogErrorKind::Full);
        assert_eq!(kind(ErrorKind::PermissionDenied), LogErrorKind::Denied);
        assert_eq!(kind(ErrorKind::UnexpectedEof), LogErrorKind::Malformed);
        assert_eq!(kind(ErrorKind::NotFound), LogErrorKind::Unreachable);
    }

    #[test]
    fn a_panic_is_an_error_with_its_words() {
        let error = guarded(|| -> Result<(), LogError> { panic!("three is not two") });
        let error = error.unwrap_err();
        assert_eq!(error.kind(), LogErrorKind::Malformed);
        assert_eq!(error.detail(), "the file contradicts itself: three is not two");
    }
}
