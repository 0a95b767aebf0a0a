//! [`Initial`]: what the memories of a module contain at first, as the module says it. The bytes of a frozen call have the differences to that, so that a page in which a guest has
//! changed a word takes little.

use crate::guest::checkpoint::pages::{PAGE, Page, Pages};
use crate::guest::checkpoint::state::GuestState;
use std::collections::BTreeMap;
use wasm_jobs_transform::{Layout, MemoryState};

/// The pages that are not zero, of each memory in the order of their indices. There are none of a memory whose contents are not known from the module alone.
#[derive(Debug)]
pub(crate) struct Initial(Vec<BTreeMap<usize, Box<[u8]>>>);

impl Initial {
    pub(crate) fn of(layout: &Layout) -> Self {
        Self(layout.memories.iter().map(pages).collect())
    }

    /// The differences of a state to the initial contents; or, of these differences, the state.
    pub(crate) fn differences(&self, state: &GuestState) -> GuestState {
        let none = BTreeMap::new();
        let memories = state.memories.iter().enumerate().map(|(memory, pages)| {
            let initial = self.0.get(memory).unwrap_or(&none);
            differences(pages, initial)
        });
        GuestState {
            globals: state.globals.clone(),
            memories: memories.collect(),
            tables: state.tables.clone(),
        }
    }
}

fn pages(memory: &MemoryState) -> BTreeMap<usize, Box<[u8]>> {
    let mut pages: BTreeMap<usize, Box<[u8]>> = BTreeMap::new();
    for run in memory.image.iter().flat_map(|image| &image.runs) {
        let Ok(mut at) = usize::try_from(run.offset) else { continue };
        let mut rest = &run.bytes[..];
        while !rest.is_empty() {
            let from = at % PAGE;
            let (part, after) = rest.split_at(rest.len().min(PAGE - from));
            let page = pages.entry(at / PAGE).or_insert_with(|| [0; PAGE].into());
            page[from..][..part.len()].copy_from_slice(part);
            at += part.len();
            rest = after;
        }
    }
    pages
}

fn differences(pages: &Pages, initial: &BTreeMap<usize, Box<[u8]>>) -> Pages {
    let mut differences = pages.clone();
    for (index, page) in pages.held() {
        if let Some(initial) = initial.get(&index) {
            let bytes = page.bytes().iter().zip(initial).map(|(ours, theirs)| ours ^ theirs);
            let bytes: Vec<u8> = bytes.collect();
            differences.set(index, Some(Page::new(index, &bytes)));
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::Initial;
    use crate::guest::checkpoint::pages::{PAGE, Page, Pages};
    use crate::guest::checkpoint::state::GuestState;

    #[test]
    fn differences_of_differences_are_the_state() {
        let wasm = wat::parse_str(
            r#"(module (memory 1) (data (i32.const 4090) "over two pages") (data (i32.const 4092) "XY"))"#,
        );
        let layout = wasm_jobs_transform::transform(&wasm.unwrap()).unwrap().layout;
        let initial = Initial::of(&layout);
        let mut changed = [0; PAGE];
        changed[..8].copy_from_slice(b"wo pages");
        changed[100] = 7;
        let mut memory = Pages::initial(16 * PAGE);
        memory.set(1, Some(Page::new(1, &changed)));
        memory.set(5, Some(Page::new(5, &[9; PAGE])));
        let state = GuestState { globals: vec![], memories: vec![memory], tables: vec![] };

        let differences = initial.differences(&state);
        let page = differences.memories[0].page(1).unwrap().bytes();
        assert_eq!(page.iter().filter(|byte| **byte != 0).count(), 1);
        assert_eq!(differences.memories[0].page(5).unwrap().bytes(), [9; PAGE]);
        let back = initial.differences(&differences);
        assert_eq!(back.memories[0].page(1).unwrap().bytes(), changed);
        assert_eq!(back.memories[0].hash(), state.memories[0].hash());
    }
}
