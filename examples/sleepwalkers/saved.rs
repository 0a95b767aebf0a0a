//! A walk as a file.

use crate::walk::{Walk, Walker, options};
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use wasm_jobs::Frozen;

/// What stands before a walker that has arrived, and before one that has not.
const ARRIVED: u8 = 0;
const ON_THE_WAY: u8 = 1;

impl Walk {
    /// Makes data of all calls, writes them to a file, and gives its size. The walk is over then.
    pub(crate) fn save(&mut self, file: &Path) -> Result<u64, Box<dyn Error>> {
        let mut out = BufWriter::new(File::create(file)?);
        for walker in &mut self.walkers {
            match walker {
                Walker::Arrived(where_to) => {
                    out.write_all(&[ARRIVED])?;
                    out.write_all(&where_to.to_le_bytes())?;
                }
                Walker::OnTheWay(call) => {
                    let bytes = call.freeze()?.to_bytes();
                    out.write_all(&[ON_THE_WAY])?;
                    out.write_all(&u32::try_from(bytes.len())?.to_le_bytes())?;
                    out.write_all(&bytes)?;
                }
            }
        }
        out.flush()?;
        Ok(fs::metadata(file)?.len())
    }

    /// Goes on from a file.
    pub(crate) fn load(file: &Path) -> Result<Self, Box<dyn Error>> {
        let mut walk = Self::empty()?;
        let bytes = fs::read(file)?;
        let mut rest = &bytes[..];
        while let Some((kind, after)) = rest.split_first() {
            rest = after;
            if *kind == ARRIVED {
                let (where_to, after) = rest.split_first_chunk().ok_or("the file is cut off")?;
                rest = after;
                walk.add_arrived(i64::from_le_bytes(*where_to));
            } else {
                let (len, after) = rest.split_first_chunk().ok_or("the file is cut off")?;
                let len = u32::from_le_bytes(*len) as usize;
                let (call, after) = after.split_at_checked(len).ok_or("the file is cut off")?;
                rest = after;
                let call = Frozen::<i64>::from_bytes(&walk.pre, call)?;
                let call = call.thaw(&walk.pre, options(), ())?;
                walk.add(call.into_send())?;
            }
        }
        Ok(walk)
    }
}
