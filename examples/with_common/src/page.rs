//! What the examples with a page share: their options, the scripts of others, and how it looks.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The style of the pages.
pub const STYLE: &str = include_str!("page/style.css");

/// What the command line says.
#[derive(Debug)]
pub struct PageOptions {
    /// Where the server listens.
    pub address: SocketAddr,
    /// Where the scripts of others are.
    pub scripts: PathBuf,
}

impl PageOptions {
    /// Reads the arguments of the process; `None` where they ask for help.
    ///
    /// # Errors
    ///
    /// Which option is wrong.
    pub fn from_args(scripts: &str) -> Result<Option<Self>, Box<dyn Error>> {
        use lexopt::prelude::*;
        let address = SocketAddr::from(([127, 0, 0, 1], 8080));
        let mut options = Self { address, scripts: scripts.into() };
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("addr") => {
                    let text = arguments.value()?.string()?;
                    options.address =
                        text.parse().map_err(|error| format!("--addr {text:?}: {error}"))?;
                }
                Long("scripts") => options.scripts = arguments.value()?.into(),
                Long("help") | Short('h') => return Ok(None),
                _ => return Err(argument.unexpected().into()),
            }
        }
        Ok(Some(options))
    }
}

/// A script of others that is not there.
#[derive(Debug)]
pub struct MissingScript {
    file: PathBuf,
    reason: std::io::Error,
}

impl fmt::Display for MissingScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read {}: {}", self.file.display(), self.reason)
    }
}

impl Error for MissingScript {}

/// Reads a script of others.
///
/// # Errors
///
/// [`MissingScript`].
pub fn script(directory: &Path, file: &str) -> Result<String, MissingScript> {
    let file = directory.join(file);
    std::fs::read_to_string(&file).map_err(|reason| MissingScript { file, reason })
}
