//! What the kit imports, in the words of WIT: a custom section of the module, which a linker of components reads. So a guest's own world
//! need not name the kit. `guests/kit/build.sh` makes the files from `wit/guest.wit` and `preview2.wit`.

#[cfg(any(feature = "component", not(target_env = "p2")))]
macro_rules! section {
    () => {
        include_bytes!("host.bin")
    };
}

#[cfg(all(not(feature = "component"), target_env = "p2"))]
macro_rules! section {
    () => {
        include_bytes!("preview2.bin")
    };
}

#[used]
#[link_section = "component-type:wasm-jobs-guest"]
static SECTION: [u8; section!().len()] = *section!();

/// Functions that import something call this one. The section is in the same object file as this function, and a linker leaves out files
/// of which nothing is used.
#[inline(never)]
pub(crate) fn keep() {}
