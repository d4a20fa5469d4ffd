//! State rows in immutable chunks, and which of them are worth writing again.
//!
//! Every epoch appends a chunk; a row dies when its group gets a newer one. To write live rows
//! again costs as much as it moves, so what is moved follows what came, never what is there:
//!
//! ```text
//! full    [ ........ ][ .... ....][ ........ ]   never merged; evacuated when half of it is dead,
//!                                                no more of it at a time than was filled before
//! open    [ ...... ][ ... ][ ... ][ . ][ . ][ . ]   eight of about the same length become one, or
//!                                                    as many as make a full one
//! ```
//!
//! A row is thus written a few times until its chunk is full, and once more for every row that dies
//! beside it. A chunk keeps its number as long as it lives, and the number is given again.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::interleave;
use arrow::datatypes::SchemaRef;
use datafusion_common::Result;

/// Chunks of so many rows are full.
const FULL_ROWS: usize = 32_768;

/// So many open chunks of about the same length become one.
const MERGED_TOGETHER: usize = 8;

/// Chunks are about as long as the newest if they are at most this many times as long.
const ABOUT: usize = 4;

/// Dead rows of open chunks below this part of a full one are not worth forgetting.
const FEW: usize = 32;

#[derive(Debug)]
struct Chunk {
    rows: RecordBatch,
    /// Groups in the order of their rows, those that are not evacuated.
    groups: Vec<u32>,
    /// How many rows are live.
    live: usize,
}

/// Chunks of the rows of one table. See the module's page.
#[derive(Debug)]
pub(crate) struct Chunks {
    chunks: Vec<Chunk>,
    /// Numbers of the chunks that are not full, oldest first.
    open: Vec<u32>,
    /// Numbers without a chunk.
    free: Vec<u32>,
    /// Rows of full chunks that may be looked at for evacuation.
    credit: usize,
    empty: RecordBatch,
    full_rows: usize,
}

/// Rows to write again: chunks, and which of their groups, from one on.
#[derive(Debug)]
pub(crate) struct Rewrite {
    pub(crate) parts: Vec<(u32, usize)>,
    spends: usize,
}

impl Chunks {
    /// No chunks of rows of a schema.
    pub(crate) fn new(schema: SchemaRef) -> Self {
        Chunks {
            chunks: vec![],
            open: vec![],
            free: vec![],
            credit: 0,
            empty: RecordBatch::new_empty(schema),
            full_rows: FULL_ROWS,
        }
    }

    /// Adds a chunk and gives its number. Its rows are live from when [`Chunks::came`] says so.
    pub(crate) fn push(&mut self, rows: RecordBatch) -> u32 {
        if rows.num_rows() >= self.full_rows {
            self.credit += 2 * rows.num_rows();
        }
        self.insert(rows)
    }

    fn insert(&mut self, rows: RecordBatch) -> u32 {
        let is_open = rows.num_rows() < self.full_rows;
        let chunk = Chunk {
            rows,
            groups: vec![],
            live: 0,
        };
        let number = match self.free.pop() {
            Some(number) => {
                self.chunks[number as usize] = chunk;
                number
            }
            None => {
                self.chunks.push(chunk);
                (self.chunks.len() - 1) as u32
            }
        };
        if is_open {
            self.open.push(number);
        }
        number
    }

    /// Says whose the rows of a chunk are, in their order.
    pub(crate) fn belongs_to(&mut self, number: u32, groups: Vec<u32>) {
        self.chunks[number as usize].groups = groups;
    }

    /// Takes a chunk away that has no live rows.
    pub(crate) fn remove(&mut self, number: u32) {
        debug_assert_eq!(self.chunks[number as usize].live, 0, "live rows would go");
        self.open.retain(|open| *open != number);
        self.free.push(number);
        self.chunks[number as usize] = Chunk {
            rows: self.empty.clone(),
            groups: vec![],
            live: 0,
        };
    }

    /// Some rows of a chunk are no longer the current ones of their group.
    #[inline]
    pub(crate) fn went(&mut self, number: u32, rows: usize) {
        let live = &mut self.chunks[number as usize].live;
        debug_assert!(*live >= rows, "more rows went than came");
        *live = live.saturating_sub(rows);
    }

    /// Some rows of a chunk are the current ones of their group, for the first time or again.
    #[inline]
    pub(crate) fn came(&mut self, number: u32, rows: usize) {
        self.chunks[number as usize].live += rows;
    }

    /// Whether the chunks of all live rows say that these are live, and no chunk more.
    pub(crate) fn are_counted(&self, rows: impl Iterator<Item = (u32, usize)>) -> bool {
        let mut live = vec![0; self.chunks.len()];
        for (number, rows) in rows {
            live[number as usize] += rows;
        }
        let counted = self.chunks.iter().map(|chunk| chunk.live);
        counted.eq(live)
    }

    /// How many chunks there are.
    pub(crate) fn count(&self) -> usize {
        self.chunks.len() - self.free.len()
    }

    /// All live rows, which are that many, if they are a whole chunk, and whose they are.
    pub(crate) fn whole(&self, live: usize) -> Option<(&RecordBatch, &[u32])> {
        let mut chunks = self.chunks.iter();
        let whole = chunks.find(|c| c.live == live && c.rows.num_rows() == live)?;
        Some((&whole.rows, &whole.groups))
    }

    /// One column of the rows at (chunk, row).
    pub(crate) fn gather(&self, column: usize, places: &[(usize, usize)]) -> Result<ArrayRef> {
        if places.is_empty() {
            return Ok(Arc::clone(self.empty.column(column)));
        }
        let pieces = self.chunks.iter().map(|c| c.rows.column(column).as_ref());
        let pieces: Vec<&dyn Array> = pieces.collect();
        Ok(interleave(&pieces, places)?)
    }

    /// What to write again now; `None` if nothing is worth it.
    pub(crate) fn rewrite(&self) -> Option<Rewrite> {
        self.merge().or_else(|| self.evacuation())
    }

    /// Open chunks to make one of.
    fn merge(&self) -> Option<Rewrite> {
        let rows = |number: &&u32| self.chunks[**number as usize].rows.num_rows();
        let newest = rows(&self.open.last()?);
        let live = |number: &u32| self.chunks[*number as usize].live;
        let stored: usize = self.open.iter().map(|open| rows(&open)).sum();
        let is_worn = stored > self.full_rows / FEW + 2 * self.open.iter().map(live).sum::<usize>();
        let alike = self.open.iter().rev().map(|open| rows(&open));
        let (mut count, mut filled) = (0, 0);
        for rows in alike.take_while(|rows| *rows <= ABOUT * newest.max(1)) {
            (count, filled) = (count + 1, filled + rows);
            if count == MERGED_TOGETHER || filled >= self.full_rows {
                break;
            }
        }
        let is_enough = count == MERGED_TOGETHER || filled >= self.full_rows;
        if is_worn {
            count = self.open.len();
        } else if !is_enough {
            return None;
        }
        let parts = self.open[self.open.len() - count..].iter();
        Some(Rewrite {
            parts: parts.map(|number| (*number, 0)).collect(),
            spends: 0,
        })
    }

    /// Rows to take out of full chunks of which half is dead.
    fn evacuation(&self) -> Option<Rewrite> {
        let (mut parts, mut spends) = (vec![], 0);
        for (number, chunk) in self.chunks.iter().enumerate() {
            let rows = chunk.rows.num_rows();
            if rows < self.full_rows || 2 * chunk.live > rows {
                continue;
            }
            let rest = self.credit.saturating_sub(spends);
            if chunk.live == 0 {
                parts.push((number as u32, 0));
                continue;
            }
            if rest == 0 {
                continue;
            }
            // Groups have about as many rows as each other.
            let kept = match rows <= rest {
                true => 0,
                false => chunk.groups.len() - (chunk.groups.len() * rest).div_ceil(rows),
            };
            parts.push((number as u32, kept));
            spends += rows.min(rest);
        }
        (!parts.is_empty()).then_some(Rewrite { parts, spends })
    }

    /// One of the chunks of a rewrite: its number, and the groups that may have rows in it, which are
    /// its groups from some position on. Those of a chunk without live rows are among them: what is
    /// lost is never decided by a count.
    pub(crate) fn part(&self, part: (u32, usize)) -> (u32, usize, &[u32]) {
        let (number, from) = part;
        (number, from, &self.chunks[number as usize].groups[from..])
    }

    /// Takes the chunks of a rewrite away, as far as they are written again and all live rows of
    /// that have left them, and adds those rows as a chunk. Gives its number if there are any.
    pub(crate) fn replace(&mut self, rewrite: &Rewrite, rows: RecordBatch) -> Option<u32> {
        for (number, from) in &rewrite.parts {
            match *from {
                0 => self.remove(*number),
                from => self.chunks[*number as usize].groups.truncate(from),
            }
        }
        self.credit = self.credit.saturating_sub(rewrite.spends);
        if rows.num_rows() == 0 {
            return None;
        }
        // Evacuated rows earn nothing: evacuation would go on and on.
        Some(match rewrite.spends {
            0 => self.push(rows),
            _ => self.insert(rows),
        })
    }

    /// Ends a round of rewriting: the credit is used or forfeited.
    pub(crate) fn settle(&mut self) {
        self.credit = 0;
    }

    /// Rows of every chunk and how many of them are live, for tests.
    #[cfg(test)]
    pub(crate) fn sizes(&self) -> Vec<(usize, usize)> {
        let chunks = self.chunks.iter();
        let sizes = chunks.map(|chunk| (chunk.rows.num_rows(), chunk.live));
        sizes.collect()
    }

    /// Chunks that are full sooner, for tests.
    #[cfg(test)]
    pub(crate) fn full_at(&mut self, rows: usize) {
        self.full_rows = rows;
    }

    /// Bytes of memory held.
    pub(crate) fn memory_bytes(&self) -> usize {
        let chunks = self.chunks.iter();
        chunks
            .map(|c| c.rows.get_array_memory_size() + c.groups.len() * size_of::<u32>())
            .sum()
    }
}
