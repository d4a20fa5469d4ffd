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
//!
//! A chunk comes as columns, and some are gone before anyone reads a row of them. Those that stay,
//! and those of which rows are read, are packed, see [`crate::packed_rows`].

use std::ops::Range;
use std::sync::OnceLock;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion_common::Result;

use crate::packed_rows::{PackedRows, RowLayout};

/// Chunks of so many rows are full.
const FULL_ROWS: usize = 32_768;

/// So many open chunks of about the same length become one.
const MERGED_TOGETHER: usize = 8;

/// Chunks are about as long as the newest if they are at most this many times as long.
const ABOUT: usize = 4;

/// Dead rows of open chunks below this part of a full one are not worth forgetting.
const FEW: usize = 32;

/// Bits of a word.
const WORD: usize = u64::BITS as usize;

#[derive(Debug)]
struct Chunk {
    /// The rows as they came, until they are packed for good.
    columns: Option<RecordBatch>,
    packed: OnceLock<PackedRows>,
    /// How many rows there are, dead ones too.
    rows: usize,
    /// Groups in the order of their rows, those that are not evacuated.
    groups: Vec<u32>,
    /// How many rows are live.
    live: usize,
    /// Which rows are live: a bit each.
    live_rows: Vec<u64>,
}

impl Chunk {
    fn of_columns(columns: RecordBatch) -> Self {
        Chunk {
            live_rows: no_bits(columns.num_rows()),
            rows: columns.num_rows(),
            columns: Some(columns),
            packed: OnceLock::new(),
            groups: vec![],
            live: 0,
        }
    }

    fn of_packed(rows: PackedRows) -> Self {
        Chunk {
            columns: None,
            live_rows: no_bits(rows.len()),
            rows: rows.len(),
            packed: OnceLock::from(rows),
            groups: vec![],
            live: 0,
        }
    }

    #[inline]
    fn is_live(&self, row: usize) -> bool {
        self.live_rows[row / WORD] & (1 << (row % WORD)) != 0
    }

    fn packed(&self, layout: &RowLayout) -> &PackedRows {
        self.packed.get_or_init(|| match &self.columns {
            Some(columns) => layout.pack(columns),
            None => layout.nothing(),
        })
    }
}

fn no_bits(rows: usize) -> Vec<u64> {
    vec![0; rows.div_ceil(WORD)]
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
    /// Numbers of the chunks that are columns still.
    unpacked: Vec<u32>,
    /// What stands for chunks of which no row is read.
    nothing: PackedRows,
    layout: RowLayout,
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
        let layout = RowLayout::new(schema);
        Chunks {
            chunks: vec![],
            open: vec![],
            free: vec![],
            credit: 0,
            unpacked: vec![],
            nothing: layout.nothing(),
            layout,
            full_rows: FULL_ROWS,
        }
    }

    /// Adds a chunk and gives its number. Its rows are live from when [`Chunks::came`] says so.
    pub(crate) fn push(&mut self, rows: RecordBatch) -> u32 {
        self.earn(rows.num_rows());
        let number = self.insert(Chunk::of_columns(rows));
        self.unpacked.push(number);
        number
    }

    /// So many rows fill a chunk, and as many may be taken out of others.
    fn earn(&mut self, rows: usize) {
        if rows >= self.full_rows {
            self.credit += 2 * rows;
        }
    }

    fn insert(&mut self, chunk: Chunk) -> u32 {
        let is_open = chunk.rows < self.full_rows;
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
        self.unpacked.retain(|unpacked| *unpacked != number);
        self.free.push(number);
        self.chunks[number as usize] = Chunk::of_packed(self.layout.nothing());
    }

    /// Rows of a chunk, from one on, are no longer the current ones of their group.
    #[inline]
    pub(crate) fn went(&mut self, number: u32, first: u32, rows: u32) {
        let chunk = &mut self.chunks[number as usize];
        for row in (first as usize..).take(rows as usize) {
            debug_assert!(chunk.is_live(row), "a row went that had not come");
            chunk.live_rows[row / WORD] &= !(1 << (row % WORD));
        }
        chunk.live = chunk.live.saturating_sub(rows as usize);
    }

    /// Rows of a chunk, from one on, are the current ones of their group, for the first time or
    /// again.
    #[inline]
    pub(crate) fn came(&mut self, number: u32, first: u32, rows: u32) {
        let chunk = &mut self.chunks[number as usize];
        for row in (first as usize..).take(rows as usize) {
            debug_assert!(!chunk.is_live(row), "a row came twice");
            chunk.live_rows[row / WORD] |= 1 << (row % WORD);
        }
        chunk.live += rows as usize;
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

    /// The chunk that is all live rows, which are that many, and nothing else.
    fn whole(&self, live: usize) -> Option<&Chunk> {
        let mut chunks = self.chunks.iter();
        chunks.find(|c| c.live == live && c.rows == live)
    }

    /// All live rows, which are that many, if they are a whole chunk.
    pub(crate) fn whole_columns(&self, live: usize) -> Result<Option<Vec<ArrayRef>>> {
        let whole = self.whole(live).map(|whole| match &whole.columns {
            Some(columns) => Ok(columns.columns().to_vec()),
            None => self.layout.unpack(whole.packed(&self.layout)),
        });
        whole.transpose()
    }

    /// Whose all live rows are, if they are a whole chunk.
    pub(crate) fn whole_groups(&self, live: usize) -> Option<&[u32]> {
        self.whole(live).map(|whole| whole.groups.as_slice())
    }

    /// Some columns of the rows at (chunk, row).
    pub(crate) fn gather(
        &self,
        columns: Range<usize>,
        places: &[(usize, usize)],
    ) -> Result<Vec<ArrayRef>> {
        self.layout.gather(columns, &self.packed(places), places)
    }

    /// The rows at (chunk, row), to be written again.
    pub(crate) fn pick(&self, places: &[(usize, usize)]) -> Result<PackedRows> {
        self.layout.pick(&self.packed(places), places)
    }

    /// The chunks, of which those are packed that have rows at these places.
    fn packed(&self, places: &[(usize, usize)]) -> Vec<&PackedRows> {
        let mut is_read = vec![false; self.chunks.len()];
        for (chunk, _) in places {
            is_read[*chunk] = true;
        }
        let chunks = self.chunks.iter().zip(is_read);
        let packed = chunks.map(|(chunk, is_read)| match is_read {
            true => chunk.packed(&self.layout),
            false => &self.nothing,
        });
        packed.collect()
    }

    /// What to write again now; `None` if nothing is worth it.
    pub(crate) fn rewrite(&self) -> Option<Rewrite> {
        self.merge().or_else(|| self.evacuation())
    }

    /// Open chunks to make one of.
    fn merge(&self) -> Option<Rewrite> {
        let rows = |number: &&u32| self.chunks[**number as usize].rows;
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
            let rows = chunk.rows;
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
    /// its groups from some position on.
    pub(crate) fn part(&self, part: (u32, usize)) -> (u32, usize, &[u32]) {
        let (number, from) = part;
        (number, from, &self.chunks[number as usize].groups[from..])
    }

    /// The live rows of one of the chunks of a rewrite, each with its group, if every group has one
    /// row.
    pub(crate) fn live_in(&self, part: (u32, usize)) -> impl Iterator<Item = (usize, u32)> {
        let (number, from) = part;
        let chunk = &self.chunks[number as usize];
        let words = chunk.live_rows.iter().enumerate().skip(from / WORD);
        let rows = words.flat_map(|(word, bits)| {
            let some = |bits: u64| (bits != 0).then_some(bits);
            let bits = std::iter::successors(some(*bits), move |bits| some(bits & (bits - 1)));
            bits.map(move |bits| word * WORD + bits.trailing_zeros() as usize)
        });
        let rows = rows.skip_while(move |row| *row < from);
        rows.map(|row| (row, chunk.groups[row]))
    }

    /// Adds the rows that a rewrite picked as a chunk, and gives its number if there are any.
    pub(crate) fn add_rewritten(&mut self, rewrite: &Rewrite, rows: PackedRows) -> Option<u32> {
        if rows.len() == 0 {
            return None;
        }
        // Evacuated rows earn nothing: evacuation would go on and on.
        if rewrite.spends == 0 {
            self.earn(rows.len());
        }
        Some(self.insert(Chunk::of_packed(rows)))
    }

    /// Takes the chunks of a rewrite away, as far as they are written again and all live rows of
    /// that have left them.
    pub(crate) fn retire(&mut self, rewrite: &Rewrite) {
        for (number, from) in &rewrite.parts {
            match *from {
                0 => self.remove(*number),
                from => self.chunks[*number as usize].groups.truncate(from),
            }
        }
        self.credit = self.credit.saturating_sub(rewrite.spends);
    }

    /// Ends a round of rewriting: the credit is used or forfeited, and what is left is packed.
    pub(crate) fn settle(&mut self) {
        self.credit = 0;
        for number in std::mem::take(&mut self.unpacked) {
            let chunk = &mut self.chunks[number as usize];
            chunk.packed(&self.layout);
            chunk.columns = None;
        }
    }

    /// Rows of every chunk and how many of them are live, for tests.
    #[cfg(test)]
    pub(crate) fn sizes(&self) -> Vec<(usize, usize)> {
        let chunks = self.chunks.iter();
        let sizes = chunks.map(|chunk| (chunk.rows, chunk.live));
        sizes.collect()
    }

    /// Chunks that are full sooner, for tests.
    #[cfg(test)]
    pub(crate) fn full_at(&mut self, rows: usize) {
        self.full_rows = rows;
    }

    /// Bytes of memory held.
    pub(crate) fn memory_bytes(&self) -> usize {
        let chunks = self.chunks.iter().map(|chunk| {
            let columns = chunk.columns.as_ref();
            let columns = columns.map_or(0, RecordBatch::get_array_memory_size);
            let packed = chunk.packed.get().map_or(0, PackedRows::memory_bytes);
            let bits = size_of_val(chunk.live_rows.as_slice());
            columns + packed + bits + chunk.groups.len() * size_of::<u32>()
        });
        chunks.sum()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray, Int64Array, StringArray};
    use arrow::datatypes::Int64Type;

    use super::*;

    fn rows(numbers: &[i64]) -> RecordBatch {
        let texts = numbers.iter().map(|n| format!("text {n}"));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
        let numbers: ArrayRef = Arc::new(Int64Array::from(numbers.to_vec()));
        RecordBatch::try_from_iter([("n", numbers), ("s", texts)]).unwrap()
    }

    #[test]
    fn chunks_are_packed_when_their_rows_are_read() {
        let mut chunks = Chunks::new(rows(&[]).schema());
        for numbers in [[1, 2], [3, 4], [5, 6]] {
            chunks.push(rows(&numbers));
        }
        let found = chunks.gather(0..2, &[(2, 1), (0, 0), (2, 0)]).unwrap();
        assert_eq!(found[0].as_primitive::<Int64Type>().values(), &[6, 1, 5]);
        let texts: Vec<_> = found[1].as_string::<i32>().iter().flatten().collect();
        assert_eq!(texts, ["text 6", "text 1", "text 5"]);
        let packed = chunks
            .chunks
            .iter()
            .map(|chunk| chunk.packed.get().is_some());
        assert_eq!(packed.collect::<Vec<_>>(), [true, false, true]);
        chunks.pick(&[(1, 0)]).unwrap();
        assert!(chunks.chunks[1].packed.get().is_some());
    }
}
