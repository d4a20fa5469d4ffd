//! What was measured on: figures of one machine say nothing of those of another.

use std::fmt;
use std::fs;

/// A machine.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub(super) cores: usize,
    pub(super) processor: String,
    /// Release of the kernel.
    pub(super) system: String,
}

impl Machine {
    /// The one that this runs on.
    pub(super) fn this() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Machine {
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            processor: processor_in(&read("/proc/cpuinfo")),
            system: read("/proc/sys/kernel/osrelease").trim().to_string(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine {
            cores,
            processor,
            system,
        } = self;
        let cores_word = if *cores == 1 { "core" } else { "cores" };
        write!(f, "{cores} {cores_word} of {processor}, Linux {system}")
    }
}

/// The name of the first processor; ARM's have none there.
fn processor_in(cpuinfo: &str) -> String {
    let mut lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    let name = lines.find(|(key, _)| key.trim() == "model name");
    let name = name.map_or(std::env::consts::ARCH, |(_, name)| name.trim());
    name.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_told_in_a_line() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\nmodel name\t: Other\n";
        let machine = Machine {
            cores: 2,
            processor: processor_in(cpuinfo),
            system: "6.1.0".to_string(),
        };
        assert_eq!(
            machine.to_string(),
            "2 cores of Some CPU @ 3 GHz, Linux 6.1.0"
        );
        assert_eq!(processor_in(""), std::env::consts::ARCH);
    }
}
