//! What is left when the power is gone.

use std::collections::BTreeSet;

use super::{Bytes, Group, Names, Node, PAGE, SECTOR, World};

/// How much of what was not synced is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Severity {
    Everything,
    Nothing,
    /// What changed last is lost first.
    TheEnd,
    Anything,
}

type Dice<'a> = &'a mut dyn FnMut(u64) -> u64;

impl World {
    /// Lets only what survives a loss of power be seen.
    pub(super) fn lose(&mut self, dice: Dice<'_>) {
        let severity = match dice(6) {
            0 => Severity::Everything,
            1 => Severity::Nothing,
            2 => Severity::TheEnd,
            _ => Severity::Anything,
        };
        let kept = self.surviving_groups(severity, dice);
        for node in &mut self.nodes {
            match node {
                Node::File(bytes) => lose_pages(bytes, severity, dice),
                Node::Folder(names) => lose_changes(names, &kept),
            }
        }
    }

    /// The changes of names that reached the disk in time.
    fn surviving_groups(&self, severity: Severity, dice: Dice<'_>) -> BTreeSet<Group> {
        let folders = self.nodes.iter().filter_map(|node| match node {
            Node::Folder(names) => Some(&names.changes),
            Node::File(_) => None,
        });
        let groups: BTreeSet<Group> = folders.flatten().map(|change| change.group).collect();
        let end = dice(groups.len() as u64 + 1);
        let survives = |(index, _): &(usize, Group)| match severity {
            Severity::Everything => false,
            Severity::Nothing => true,
            Severity::TheEnd => (*index as u64) < end,
            Severity::Anything => dice(2) == 0,
        };
        let kept = groups.into_iter().enumerate().filter(survives);
        kept.map(|(_, group)| group).collect()
    }
}

fn lose_changes(names: &mut Names, kept: &BTreeSet<Group>) {
    for change in std::mem::take(&mut names.changes) {
        // A file that moved is in its new folder if it has left the old one: they are one group,
        // and the sync of one folder made the other half durable.
        if kept.contains(&change.group) {
            names.keep(&change);
        }
    }
    names.seen.clone_from(&names.durable);
}

fn lose_pages(bytes: &mut Bytes, severity: Severity, dice: Dice<'_>) {
    if bytes.seen == bytes.durable {
        return;
    }
    let (old, new) = (&bytes.durable, &bytes.seen);
    let left = match severity {
        Severity::Everything => old.clone(),
        Severity::Nothing => new.clone(),
        Severity::TheEnd | Severity::Anything => {
            // The length is a matter of its own: of a page that did not come, it shows zeros.
            let length = match dice(3) {
                0 => old.len(),
                1 => new.len(),
                _ => new.len().min(old.len().next_multiple_of(PAGE)),
            };
            let mut left = vec![0; length];
            for (page, place) in left.chunks_mut(PAGE).enumerate() {
                let start = page * PAGE;
                let from_new = match dice(3) {
                    0 => 0,
                    1 => place.len(),
                    _ => place
                        .len()
                        .min(SECTOR * usize::try_from(dice(8)).unwrap_or(0)),
                };
                for (offset, byte) in place.iter_mut().enumerate() {
                    let source = if offset < from_new { new } else { old };
                    *byte = source.get(start + offset).copied().unwrap_or(0);
                }
            }
            left
        }
    };
    bytes.durable.clone_from(&left);
    bytes.seen = left;
}
