//! [`StopFlags`]: a word for each prepared guest of an engine, which another thread sets to stop the guest.
//!
//! The words are in a memory that all prepared guests of the engine import, and that no instruction of theirs can reach but those that
//! `wasm-jobs-transform` adds. A guest looks at its word at each loop. Where it finds it set, it takes it, by an exchange with zero, and calls
//! the host, which [decides](Checked::look) by the reasons that there are at that moment.
//!
//! Why no stop is lost is said in [`stop`](crate::step::stop). So a flag is set once for each reason, and need not be set again. A flag without a reason does no harm: the guest goes on. So nobody waits for flags to be taken, and a word may be used again at once.

use crate::error::Error;
use crate::guest::limit::look::Look;
use crate::step::stop::Setters;
use parking_lot::Mutex;
use std::fmt;
use std::sync::{Arc, Weak};
use wasm_jobs_transform::{FLAGS_MAX_PAGES, FLAGS_MIN_PAGES, Options, transform_with};
use wasmtime::{Engine, MemoryType, Module, SharedMemory};
use wiggle::{GuestMemory, GuestPtr};

/// The flags of one engine. It lives as long as a prepared module of the engine, or an instance of one.
pub(crate) struct StopFlags {
    memory: SharedMemory,
    setters: Setters,
    words: Mutex<Words>,
}

/// Which words are in use.
#[derive(Default)]
struct Words {
    /// The instance that has each word.
    holders: Vec<Option<Weak<dyn Checked>>>,
    /// The words that were given back.
    free: Vec<usize>,
}

/// What a guest looks for when it has taken its flag.
pub(crate) trait Checked: Send + Sync {
    /// Decides what the guest does.
    fn look(&self) -> Look;
}

/// How many words a page of the memory has, of 64 KiB.
const WORDS_OF_A_PAGE: usize = 65_536 / 4;
/// How many lines of the cache a page has, of 64 bytes.
const LINES_OF_A_PAGE: usize = 65_536 / 64;
/// How many flags are set before others get the locks. That takes some microseconds.
const SET_AT_ONCE: usize = 1024;

impl StopFlags {
    /// The flags of an engine.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if its `Config` lacks something that they need.
    pub(crate) fn new(engine: &Engine) -> Result<Arc<Self>, Error> {
        refuse_without_proposals(engine)?;
        let ty = MemoryType::shared(FLAGS_MIN_PAGES as u32, FLAGS_MAX_PAGES as u32);
        let memory = SharedMemory::new(engine, ty).map_err(unsupported)?;
        // The first word is never given: it stands for no flag.
        let words = Words { holders: vec![None], free: Vec::new() };
        Ok(Arc::new(Self { memory, setters: Setters::new(), words: Mutex::new(words) }))
    }

    /// What prepared modules import.
    pub(crate) fn memory(&self) -> &SharedMemory {
        &self.memory
    }

    /// Takes a word for an instance, which then gives it [back](Self::give_back).
    ///
    /// # Errors
    ///
    /// [`Error::TooManyInstances`] if all words are in use, or if there is no memory for more.
    pub(crate) fn take(&self, holder: Weak<dyn Checked>) -> Result<usize, Error> {
        let mut words = self.words.lock();
        if let Some(index) = words.free.pop() {
            words.holders[index] = Some(holder);
            return Ok(index);
        }
        let index = words.holders.len();
        if index.is_multiple_of(WORDS_OF_A_PAGE) {
            self.memory.grow(1).map_err(|source| Error::TooManyInstances {
                name: "a prepared module".into(),
                instances: FLAGS_MAX_PAGES as u32 * WORDS_OF_A_PAGE as u32 - 1,
                source,
            })?;
        }
        words.holders.push(Some(holder));
        Ok(index)
    }

    pub(crate) fn give_back(&self, index: usize) {
        let mut words = self.words.lock();
        let holder = words.holders[index].take();
        words.free.push(index);
        drop(words);
        drop(holder);
    }

    /// The instance that has the word at this address.
    pub(crate) fn holder(&self, address: u32) -> Option<Arc<dyn Checked>> {
        self.words.lock().holders.get(index(address))?.as_ref()?.upgrade()
    }

    /// Sets the flag at this address. Its guest looks at its next loop, or entry of a function that has a check.
    pub(crate) fn set(&self, address: u32) {
        self.set_each(&[address]);
    }

    /// Sets the flags at these addresses.
    fn set_each(&self, addresses: &[u32]) {
        self.setters.raise(|| {
            let mut memory = GuestMemory::Shared(self.memory.data());
            for &address in addresses {
                // A store of one atomic word, and `Relaxed`. It fails only past the end of the memory: a late stop of an instance whose engine
                // is gone may come to the next engine that has the ticker. Then there is no guest to stop.
                memory.write(GuestPtr::<u32>::new(address), 1).ok();
            }
        });
    }

    /// Sets the flags of all instances that there are. Those that are made meanwhile may be left out.
    pub(crate) fn set_all(&self) {
        // In parts, between which others get the locks: a guest that has taken its flag needs one of them to go on.
        let mut part = Vec::with_capacity(SET_AT_ONCE);
        for first in (0..).step_by(SET_AT_ONCE) {
            {
                let words = self.words.lock();
                let Some(rest) = words.holders.get(first..) else { return };
                let indices = (first..).zip(rest).take(SET_AT_ONCE);
                let in_use = indices.filter(|(_, holder)| holder.is_some());
                part.extend(in_use.map(|(index, _)| address(index)));
            }
            self.set_each(&part);
            part.clear();
        }
    }
}

/// The smallest module whose guests look at a flag: `(module (memory 0) (func (loop (br 0))))`.
const LOOKS_AT_A_FLAG: &[u8] = b"\0asm\x01\0\0\0\
    \x01\x04\x01\x60\0\0\
    \x03\x02\x01\0\
    \x05\x03\x01\0\0\
    \x0a\x09\x01\x07\0\x03\x40\x0c\0\x0b\x0b";

/// Refuses an engine of the user's own configuration that lacks what the code of the checks needs.
fn refuse_without_proposals(engine: &Engine) -> Result<(), Error> {
    if !engine.get_shared_memory() {
        return Err(unsupported("it has no shared memories (`Config::shared_memory`)"));
    }
    let options = Options::default().stops(true);
    let checked = transform_with(LOOKS_AT_A_FLAG, &options).map_err(Error::Prepare)?;
    Module::validate(engine, &checked.wasm).map_err(unsupported)
}

fn unsupported(why: impl fmt::Display) -> Error {
    Error::Unsupported {
        what: "a guest that looks at a flag, on this engine,",
        why: format!(
            "{why:#}. Set `EngineOptions::stop_flags`, or in your own `Config` shared memories, threads, several memories and typed function \
             references"
        )
        .into(),
    }
}

/// Where a word is. The first words of a page have a line of the cache each, so that guests do not share lines before they have to.
pub(crate) fn address(index: usize) -> u32 {
    let (page, in_page) = (index / WORDS_OF_A_PAGE, index % WORDS_OF_A_PAGE);
    let (line, in_line) = (in_page % LINES_OF_A_PAGE, in_page / LINES_OF_A_PAGE);
    // Less than 2²².
    (page * 65_536 + line * 64 + in_line * 4) as u32
}

/// The word at an address.
fn index(address: u32) -> usize {
    let address = address as usize;
    let (page, in_page) = (address / 65_536, address % 65_536);
    let (line, in_line) = (in_page / 64, in_page % 64 / 4);
    page * WORDS_OF_A_PAGE + in_line * LINES_OF_A_PAGE + line
}

impl fmt::Debug for StopFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopFlags").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Checked, SET_AT_ONCE, StopFlags, WORDS_OF_A_PAGE, address, index};
    use crate::guest::limit::look::Look;
    use std::collections::HashSet;
    use std::sync::{Arc, Weak};
    use wasmtime::{Config, Engine};
    use wiggle::{GuestMemory, GuestPtr};

    struct Nobody;

    impl Checked for Nobody {
        fn look(&self) -> Look {
            Look::GoOn
        }
    }

    fn flags() -> Arc<StopFlags> {
        let engine = Engine::new(Config::new().shared_memory(true)).unwrap();
        StopFlags::new(&engine).expect("the engine has all that they need")
    }

    #[test]
    fn an_engine_that_lacks_what_flags_need_says_what() {
        type Lack = fn(&mut Config) -> &mut Config;
        let lacks: [(&str, Lack); 4] = [
            ("shared memories", |config| config.shared_memory(false)),
            ("threads", |config| config.wasm_threads(false)),
            ("multi", |config| config.wasm_multi_memory(false)),
            ("function references", |config| {
                config.wasm_gc(false).wasm_exceptions(false).wasm_function_references(false)
            }),
        ];
        for (lacking, lack) in lacks {
            let mut config = Config::new();
            let engine = Engine::new(lack(config.shared_memory(true))).unwrap();
            let Err(refusal) = StopFlags::new(&engine) else { panic!("{lacking}") };
            assert!(refusal.to_string().contains(lacking), "{lacking}: {refusal}");
        }
    }

    #[test]
    fn a_late_stop_of_an_engine_that_is_gone_is_nobodys() {
        flags().set(address(7 * WORDS_OF_A_PAGE));
    }

    #[test]
    fn all_flags_are_set_but_those_that_nobody_has() {
        let flags = flags();
        let nobody: Weak<dyn Checked> = Weak::<Nobody>::new();
        let count = 2 * SET_AT_ONCE + 3;
        for _ in 1..count {
            flags.take(nobody.clone()).expect("there is room");
        }
        flags.give_back(SET_AT_ONCE);
        flags.set_all();
        let memory = GuestMemory::Shared(flags.memory().data());
        let is_set = |index| memory.read(GuestPtr::<u32>::new(address(index))).unwrap() == 1;
        for index in 0..count + 9 {
            let has_holder = index != 0 && index != SET_AT_ONCE && index < count;
            assert_eq!(is_set(index), has_holder, "{index}");
        }
    }

    #[test]
    fn each_word_has_an_address_of_its_own_in_its_page() {
        let mut addresses = HashSet::new();
        for of in 0..3 * WORDS_OF_A_PAGE {
            let address = address(of);
            assert!(addresses.insert(address));
            assert_eq!(address % 4, 0);
            assert_eq!(address as usize / 65_536, of / WORDS_OF_A_PAGE);
            assert_eq!(index(address), of);
        }
    }

    #[test]
    fn words_are_used_again_and_the_first_is_never_given() {
        let flags = flags();
        let nobody: Weak<dyn Checked> = Weak::<Nobody>::new();
        assert_eq!(flags.take(nobody.clone()).unwrap(), 1);
        assert_eq!(flags.take(nobody.clone()).unwrap(), 2);
        flags.give_back(1);
        assert_eq!(flags.take(nobody).unwrap(), 1);
    }

    #[test]
    fn the_memory_grows_as_instances_need_words() {
        let flags = flags();
        let nobody: Weak<dyn Checked> = Weak::<Nobody>::new();
        for _ in 0..WORDS_OF_A_PAGE {
            flags.take(nobody.clone()).expect("there is room");
        }
        assert_eq!(flags.memory().size(), 2);
        flags.set_all();
        flags.give_back(1);
        assert_eq!(flags.take(nobody).unwrap(), 1);
        assert_eq!(flags.memory().size(), 2);
    }

    #[test]
    fn who_has_a_word_is_found_by_its_address() {
        let flags = flags();
        let holder: Arc<dyn Checked> = Arc::new(Nobody);
        let of = flags.take(Arc::downgrade(&holder)).unwrap();
        assert!(Arc::ptr_eq(&flags.holder(address(of)).unwrap(), &holder));
        for other in [0, address(of) + 64, u32::MAX] {
            assert!(flags.holder(other).is_none());
        }
        flags.give_back(of);
        assert!(flags.holder(address(of)).is_none());
    }
}
