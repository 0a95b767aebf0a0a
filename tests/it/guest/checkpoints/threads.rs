//! Many threads with one checkpoint, and with one instance.

use super::adversity::KEEPER;
use super::{call, on_demand, pre};
use std::sync::{Arc, Barrier};
use std::thread;
use wasm_jobs::{Checkpoint, EngineOptions, Error, Instance, InstanceOptions, engine};

#[test]
fn many_threads_use_one_checkpoint() {
    let engine = engine(&EngineOptions::default().pooling(64)).unwrap();
    for _ in 0..60 {
        let pre = pre::<()>(&engine, KEEPER);
        let begin = Arc::new(Barrier::new(6));
        let first = Instance::new(&pre, ()).unwrap();
        call::<_, (), _>(&first, "store", (100, 7)).unwrap();
        let here = first.checkpoint().unwrap();
        drop(first);
        let threads: Vec<_> = (0..6)
            .map(|n| {
                let (pre, here, begin) = (pre.clone(), here.clone(), begin.clone());
                thread::spawn(move || {
                    begin.wait();
                    let twin = here.instantiate(&pre, ()).unwrap();
                    for k in 0..10 {
                        call::<_, (), _>(&twin, "store", (100, n + k)).unwrap();
                        call::<_, (), _>(&twin, "store", (50_000, n + k)).unwrap();
                        let there = twin.checkpoint().unwrap();
                        let size = here.size();
                        assert!(size.shared <= size.bytes);
                        if k % 3 == 0 {
                            call::<_, i32, _>(&twin, "grow", 1).unwrap();
                        }
                        twin.rollback(&here).unwrap();
                        assert_eq!(call::<_, i32, _>(&twin, "load", 100).unwrap(), 7);
                        assert_eq!(call::<_, i32, _>(&twin, "load", 50_000).unwrap(), 0);
                        twin.rollback(&there).unwrap();
                        assert_eq!(call::<_, i32, _>(&twin, "load", 50_000).unwrap(), n + k);
                        assert_eq!(
                            Checkpoint::from_bytes(&pre, &here.to_bytes()).unwrap().hash(),
                            here.hash()
                        );
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|t| t.join().unwrap());
    }
}

#[test]
fn everything_at_once_on_one_instance() {
    let pre = pre::<()>(&on_demand(), KEEPER);
    let instance =
        Arc::new(Instance::with_options(&pre, InstanceOptions::default(), || ()).unwrap());
    call::<_, (), _>(&instance, "store", (8, 77)).unwrap();
    let here = instance.checkpoint().unwrap();
    let threads: Vec<_> = (0..4)
        .map(|n| {
            let (instance, here) = (instance.clone(), here.clone());
            thread::spawn(move || {
                for k in 0..400 {
                    let result = match (n + k) % 4 {
                        0 => instance.rollback(&here),
                        1 => instance
                            .checkpoint()
                            .map(|there| assert!(there.size().shared <= there.size().bytes)),
                        2 => call::<_, i32, _>(&instance, "grow", 1).map(drop),
                        _ => {
                            if k % 16 == 0 {
                                instance.reset()
                            } else {
                                call::<_, (), _>(&instance, "store", (9000, k))
                            }
                        }
                    };
                    assert!(matches!(result, Ok(()) | Err(Error::CallInProgress)), "{result:?}");
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().unwrap());
    instance.rollback(&here).unwrap();
    assert_eq!(call::<_, i32, _>(&instance, "load", 8).unwrap(), 77);
    assert_eq!(instance.checkpoint().unwrap().hash(), here.hash());
}
