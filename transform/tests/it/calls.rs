//! Points tell which call of the module before the transformation they are.

use crate::program::program;
use std::collections::HashSet;
use wasm_jobs_transform::{Options, offset_of_call, transform_with};
use wasmparser::{BinaryReader, Operator, OperatorsReader, Parser, Payload};

#[test]
fn the_call_of_a_point_is_found_in_the_module_before() {
    let mut points = 0;
    for (seed, stops) in (0..60).flat_map(|seed| [(seed, false), (seed, true)]) {
        let wasm = program(seed);
        let options = Options::default().saves_calls(true).stops(stops).check_interval(5);
        let frames = transform_with(&wasm, &options).unwrap().frames;
        let code = Parser::new(0).parse_all(&wasm).find_map(|payload| match payload.unwrap() {
            Payload::CodeSectionStart { range, .. } => Some(range.start),
            _ => None,
        });
        let mut places = HashSet::new();
        for point in &frames.points {
            let offset = offset_of_call(&wasm, point.function, point.call).unwrap();
            let at = code.unwrap() + offset as usize;
            let reader = BinaryReader::new(&wasm[at..], at);
            let operator = OperatorsReader::new(reader).read().unwrap();
            match (operator, point.callee()) {
                (Operator::Call { function_index }, Some(callee)) => {
                    assert_eq!(function_index, callee, "seed {seed}");
                }
                (Operator::CallIndirect { .. } | Operator::CallRef { .. }, None) => {}
                (other, callee) => panic!("seed {seed}: {other:?}, {callee:?}"),
            }
            assert!(places.insert(offset), "seed {seed}");
        }
        points += places.len();
        assert_eq!(offset_of_call(&wasm, u32::MAX, 0), None);
        assert_eq!(offset_of_call(&wasm, 0, u32::MAX), None);
    }
    assert!(points > 500, "{points}");
}
