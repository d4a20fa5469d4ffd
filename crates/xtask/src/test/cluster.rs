//! The cluster that the tests of real brokers talk to.
//!
//! | `HEADWATER_TEST_BOOTSTRAP` | cluster |
//! | --- | --- |
//! | an address | that one |
//! | `none` | none: these tests print that they are left out |
//! | not set | a broker of our own, started and stopped |
//!
//! Where no broker can be had, a build machine fails; a developer gets a notice and `none`.

use crate::broker::{BrokerKind, GuardedBroker};
use crate::environment::{is_ci, variable};
use crate::failure::Result;
use crate::say::{say, warn};

/// The variable that tests read; they fail if it is not set.
pub(super) const BOOTSTRAP_VARIABLE: &str = "HEADWATER_TEST_BOOTSTRAP";
/// Its value where there is no cluster.
pub(super) const NO_CLUSTER: &str = "none";

/// A cluster for tests.
#[derive(Debug)]
pub(super) enum Cluster {
    /// The environment names it, or says that there is none.
    Given(String),
    /// Our own.
    Started(GuardedBroker),
    /// None can be had here.
    Missing,
}

impl Cluster {
    /// The cluster of the environment, or a new one.
    ///
    /// # Errors
    /// If a broker cannot be started on a build machine.
    pub(super) fn find_or_start() -> Result<Self> {
        if let Some(bootstrap) = variable(BOOTSTRAP_VARIABLE) {
            say(format_args!("{BOOTSTRAP_VARIABLE}={bootstrap} was given"));
            return Ok(Cluster::Given(bootstrap));
        }
        match GuardedBroker::start(BrokerKind::Noida) {
            Ok(broker) => {
                say(format_args!("{BOOTSTRAP_VARIABLE}={}", broker.bootstrap()));
                Ok(Cluster::Started(broker))
            }
            Err(failure) if is_ci() => Err(failure),
            Err(failure) => {
                warn(format_args!("{failure}"));
                warn_left_out();
                Ok(Cluster::Missing)
            }
        }
    }

    /// The value that tests get.
    pub(super) fn bootstrap(&self) -> String {
        match self {
            Cluster::Given(bootstrap) => bootstrap.clone(),
            Cluster::Started(broker) => broker.bootstrap(),
            Cluster::Missing => NO_CLUSTER.to_string(),
        }
    }
}

fn warn_left_out() {
    let rule = "*".repeat(78);
    warn(format_args!(
        "{rule}\n\
         * NOTICE: no real broker could be started, so its tests ARE LEFT OUT.\n\
         * They need Linux on x86-64, python3 with pip, and PyPI the first time; or set\n\
         * {BOOTSTRAP_VARIABLE} to the address of a Kafka cluster.\n\
         {rule}"
    ));
}
