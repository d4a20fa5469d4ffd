//! Other Kafka clients, which the tests let read what headwater writes, and the other way round.
//!
//! | client | from | variable |
//! | --- | --- | --- |
//! | `confluent-kafka` for Python | wheels, named in `tests/interop/requirements.txt` | `HEADWATER_TEST_PEERS`, their folder |
//! | kcat | the package of the system | `HEADWATER_TEST_KCAT`, the command |
//!
//! A variable that is set is left as it is; `none` leaves out the tests of its client. Where a
//! client cannot be had, a build machine fails; a developer gets a notice and `none`.

use std::process::Command;

use crate::command::succeeds;
use crate::environment::{is_ci, variable, workspace_root};
use crate::failure::{Failure, Result};
use crate::files;
use crate::say::{say, warn};
use crate::wheels;

/// What a variable says where there is no client.
const NO_PEER: &str = "none";

/// A client and where it is.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) variable: &'static str,
    /// The variable's value.
    pub(crate) place: String,
}

impl Peer {
    /// Whether the tests of this client are left out.
    pub(crate) fn is_missing(&self) -> bool {
        self.place == NO_PEER
    }
}

/// Prints the variables.
///
/// # Errors
/// As [`find`].
pub(crate) fn run() -> Result<()> {
    for Peer {
        variable, place, ..
    } in find()?
    {
        say(format_args!("{variable}={place}"));
    }
    Ok(())
}

/// All clients.
///
/// # Errors
/// If one cannot be had on a build machine.
pub(crate) fn find() -> Result<Vec<Peer>> {
    Ok(vec![
        find_one("confluent-kafka", "HEADWATER_TEST_PEERS", packages)?,
        find_one("kcat", "HEADWATER_TEST_KCAT", kcat)?,
    ])
}

fn find_one(
    name: &'static str,
    variable_name: &'static str,
    find: impl FnOnce() -> Result<String>,
) -> Result<Peer> {
    let place = match variable(variable_name) {
        Some(given) => given,
        None => match find() {
            Ok(place) => place,
            Err(failure) if is_ci() => return Err(failure),
            Err(failure) => {
                warn(format_args!(
                    "{failure}\nNOTICE: the tests of {name} ARE LEFT OUT"
                ));
                NO_PEER.to_string()
            }
        },
    };
    Ok(Peer {
        name,
        variable: variable_name,
        place,
    })
}

/// The folder of the Python packages, downloaded if they are not there yet.
fn packages() -> Result<String> {
    let requirements = workspace_root().join("tests/interop/requirements.txt");
    let folder = wheels::packages("peers", &files::read(&requirements)?)?;
    Ok(folder.to_string_lossy().into_owned())
}

fn kcat() -> Result<String> {
    match succeeds(Command::new("kcat").arg("-V")) {
        true => Ok("kcat".to_string()),
        false => Err(Failure::new(
            "there is no kcat: install the package of that name",
        )),
    }
}
