//! Does to servers and clients what hostile peers and bad luck do, and prints what it cost.
//!
//! ```text
//! cargo run --release -p attack
//! cargo run --release -p attack -- ids
//! cargo run --release -p attack -- --short
//! ```
//!
//! Each attack prints its figures, one to a line, and says at the end whether what the library
//! promises held. `--short` makes each of them small enough for every run of the tests. Some
//! attacks start this program again, as the server or the reader that is attacked.

mod budgets;
mod ids;
mod names;
mod panics;
mod patterns;
#[cfg(unix)]
mod pauses;
mod replay;
mod report;

use report::{Broken, Report, Size};
use std::error::Error;
use std::process::ExitCode;

const HELP: &str = "\
Does to servers and clients what hostile peers and bad luck do, and prints what it cost.

Usage: attack [--short] [NAME...]

Without a name every attack is made, one after the other.

Options:
      --short     each attack in a small form, for the tests
      --list      the names of the attacks
  -h, --help      this text";

/// One kind of attack.
struct Attack {
    name: &'static str,
    about: &'static str,
    run: fn(Size, &mut Report) -> Result<(), Broken>,
}

const ATTACKS: &[Attack] = &[
    Attack { name: "ids", about: "ids as long as a stream lets them be", run: ids::run },
    #[cfg(unix)]
    Attack { name: "pauses", about: "a process that is stopped and goes on", run: pauses::run },
    Attack { name: "names", about: "names that subscribers invent", run: names::run },
    Attack { name: "replay", about: "small requests for all that is kept", run: replay::run },
    Attack {
        name: "budgets",
        about: "peers that make a server hold what it can",
        run: budgets::run,
    },
    Attack { name: "patterns", about: "patterns that match everything", run: patterns::run },
    Attack { name: "panics", about: "an application whose code panics", run: panics::run },
];

fn main() -> ExitCode {
    if let Some(status) = budgets::child() {
        return status;
    }
    #[cfg(unix)]
    if let Some(status) = pauses::child() {
        return status;
    }
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("attack: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether every promise held.
fn run() -> Result<bool, Box<dyn Error>> {
    let Some(options) = Options::from_args()? else { return Ok(true) };
    let mut held = true;
    for attack in options.attacks {
        println!("{}: {}", attack.name, attack.about);
        let mut report = Report::default();
        match (attack.run)(options.size, &mut report) {
            Ok(()) => println!("  {} figures; held\n", report.figures()),
            Err(broken) => {
                println!("  BROKEN: {broken}\n");
                held = false;
            }
        }
    }
    Ok(held)
}

struct Options {
    size: Size,
    attacks: Vec<&'static Attack>,
}

impl Options {
    /// `None` where the text that was asked for is printed already.
    fn from_args() -> Result<Option<Self>, Box<dyn Error>> {
        let mut size = Size::Full;
        let mut attacks = Vec::new();
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => {
                    println!("{HELP}");
                    return Ok(None);
                }
                lexopt::Arg::Long("list") => {
                    for attack in ATTACKS {
                        println!("{:10} {}", attack.name, attack.about);
                    }
                    return Ok(None);
                }
                lexopt::Arg::Long("short") => size = Size::Short,
                lexopt::Arg::Value(name) => {
                    let attack = ATTACKS.iter().find(|attack| name == *attack.name);
                    attacks.push(attack.ok_or_else(|| {
                        format!("there is no attack \"{}\"; --list names them", name.display())
                    })?);
                }
                other => return Err(other.unexpected().into()),
            }
        }
        if attacks.is_empty() {
            attacks = ATTACKS.iter().collect();
        }
        Ok(Some(Self { size, attacks }))
    }
}
