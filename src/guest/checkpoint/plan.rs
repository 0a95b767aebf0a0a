//! [`Plan`]: where the state of a prepared module is. The names of the module's exports say it, so nothing has to be kept beside the module.

use crate::error::Error;
use crate::guest::module_name::module_name;
use crate::guest::prepared::is_prepared::is_prepared;
use std::ops::Range;
use std::sync::Arc;
use wasm_jobs_transform::{LAYOUT_VERSION, StateExport, parse_export};
use wasmtime::{ExternType, FuncType, GlobalType, MemoryType, Module, ModuleExport, TableType};

/// The hash of a module, by which a checkpoint knows its module.
pub(crate) type Hash = [u8; 16];

/// The exports of a prepared module that are its state, each kind in the order of its indices.
pub(crate) struct Plan {
    pub(crate) module: Module,
    pub(crate) hash: Hash,
    /// The mutable globals, and after them the flags of the segments that may be dropped.
    pub(crate) globals: Vec<Planned<GlobalType>>,
    pub(crate) memories: Vec<Planned<MemoryType>>,
    /// The part of each memory's image that is not zero. `None` if the image is not known from the module alone.
    pub(crate) images: Vec<Option<Range<usize>>>,
    pub(crate) tables: Vec<Planned<TableType>>,
    /// The functions that a reference can refer to, by their indices.
    pub(crate) functions: Vec<(u32, (ModuleExport, FuncType))>,
}

pub(crate) struct Planned<T> {
    /// What messages call it, for example `global 3`.
    pub(crate) name: Box<str>,
    pub(crate) export: ModuleExport,
    pub(crate) ty: T,
}

/// The size of a page of wasm, in bytes. The transformation refuses memories with pages of another size.
const WASM_PAGE: u64 = 65_536;

/// The largest part of a memory that is read as its image, in bytes. The first guest of a module reads it when it is made.
const LARGEST_IMAGE: u64 = 64 << 20;

impl Plan {
    /// Reads the exports of a module.
    ///
    /// # Errors
    ///
    /// [`Error::NotPrepared`] if it was not prepared, or by another version of the library.
    pub(crate) fn of(module: &Module) -> Result<Arc<Self>, Error> {
        let not_prepared = || Error::NotPrepared { module: module_name(module) };
        if !is_prepared(module) {
            return Err(not_prepared());
        }
        let mut hash = None;
        let (mut globals, mut memories, mut tables) = (Vec::new(), Vec::new(), Vec::new());
        let mut functions = Vec::new();
        for export in module.exports() {
            let Some(state) = parse_export(export.name()) else { continue };
            let Some(index) = module.get_export_index(export.name()) else { continue };
            match (state, export.ty()) {
                (StateExport::Layout { version: LAYOUT_VERSION, hash: found }, _) => {
                    hash = Some(found);
                }
                (StateExport::Global(place), ExternType::Global(ty)) => {
                    globals.push(((0, place), planned(format!("global {place}"), index, ty)));
                }
                (StateExport::DroppedData(place), ExternType::Global(ty)) => {
                    globals.push(((1, place), planned(format!("data segment {place}"), index, ty)));
                }
                (StateExport::DroppedElem(place), ExternType::Global(ty)) => {
                    let name = format!("element segment {place}");
                    globals.push(((2, place), planned(name, index, ty)));
                }
                (StateExport::Memory { index: place, image }, ExternType::Memory(ty))
                    if !ty.is_shared() && ty.page_size() == WASM_PAGE =>
                {
                    let image = image.filter(|image| image.end - image.start <= LARGEST_IMAGE);
                    let image = image.and_then(|image| {
                        Some(image.start.try_into().ok()?..image.end.try_into().ok()?)
                    });
                    let memory = planned(format!("memory {place}"), index, ty);
                    memories.push((place, (memory, image)));
                }
                (StateExport::Table(place), ExternType::Table(ty)) => {
                    tables.push((place, planned(format!("table {place}"), index, ty)));
                }
                (StateExport::Function(place), ExternType::Func(ty)) => {
                    functions.push((place, (index, ty)));
                }
                _ => {}
            }
        }
        functions.sort_unstable_by_key(|(place, _)| *place);
        let (memories, images) = sorted(memories).into_iter().unzip();
        Ok(Arc::new(Self {
            module: module.clone(),
            hash: hash.ok_or_else(not_prepared)?,
            globals: sorted(globals),
            memories,
            images,
            tables: sorted(tables),
            functions,
        }))
    }

    /// The most memory that a guest may have, in bytes, if something bounds it: its memories' types, or a limit.
    pub(crate) fn most_memory(&self, limit: Option<usize>) -> Option<usize> {
        let most = |memory: &Planned<MemoryType>| {
            // 2¹⁶ pages of 64 KiB are all that an address of 32 bits reaches.
            let most = memory.ty.maximum().or((!memory.ty.is_64()).then_some(1 << 16));
            let pages = usize::try_from(most?).ok()?;
            pages.checked_mul(usize::try_from(memory.ty.page_size()).ok()?)
        };
        let all = self.memories.iter().map(most).sum::<Option<usize>>();
        all.into_iter().chain(limit).min()
    }

    /// The function with this index.
    pub(crate) fn function(&self, index: u32) -> Option<&(ModuleExport, FuncType)> {
        let place = self.functions.binary_search_by_key(&index, |(index, _)| *index).ok()?;
        Some(&self.functions[place].1)
    }
}

fn planned<T>(name: String, export: ModuleExport, ty: T) -> Planned<T> {
    Planned { name: name.into(), export, ty }
}

fn sorted<K: Ord + Copy, T>(mut planned: Vec<(K, T)>) -> Vec<T> {
    planned.sort_unstable_by_key(|(key, _)| *key);
    planned.into_iter().map(|(_, planned)| planned).collect()
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("module", &self.module.name()).finish_non_exhaustive()
    }
}
