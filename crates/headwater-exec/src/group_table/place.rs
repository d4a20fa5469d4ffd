//! Where the state row of a group is.

pub(super) const NOWHERE: u32 = u32::MAX;

/// Where the current state row of a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) chunk: u32,
    pub(super) row: u32,
}

impl Place {
    pub(super) const NONE: Place = Place {
        chunk: NOWHERE,
        row: NOWHERE,
    };

    pub(super) fn is_none(self) -> bool {
        self.chunk == NOWHERE
    }

    pub(super) fn indices(self) -> (usize, usize) {
        (self.chunk as usize, self.row as usize)
    }
}

/// What is known of a group besides its key: in one place, as every row asks for all of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub(super) place: Place,
    /// Its slot in the running epoch.
    pub(super) slot: u32,
}

impl Group {
    pub(super) const NEW: Group = Group {
        place: Place::NONE,
        slot: NOWHERE,
    };
}
