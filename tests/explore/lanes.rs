//! The picture of a failure: a box for each line, in the lane of its job, and an arrow for each wake.

use crate::support::{ok, run_all, steps};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use wasm_jobs::explore::{self, Failure, World};
use wasm_jobs::{Clock, Error, Event, Future, JobHandle, JobPool, yield_now};

/// A box of the picture, and the line that it is for.
struct Drawn {
    number: usize,
    lane: String,
    look: String,
    left: usize,
    top: usize,
    bottom: usize,
}

/// The value of an attribute in the tag that begins here.
fn attribute<'a>(tag: &'a str, name: &str) -> &'a str {
    let begin = format!(" {name}=\"");
    let tag = tag.split('>').next().unwrap();
    tag.split_once(&begin)
        .unwrap_or_else(|| panic!("no {name} in {tag}"))
        .1
        .split('"')
        .next()
        .unwrap()
}

fn number(tag: &str, name: &str) -> usize {
    attribute(tag, name).parse().unwrap()
}

fn boxes(svg: &str) -> Vec<Drawn> {
    let drawn = |group: &str| {
        let rect = group.split_once("<rect").unwrap().1;
        let top = number(rect, "y");
        Drawn {
            number: number(group, "data-line"),
            lane: attribute(group, "data-lane").into(),
            look: attribute(group, "data-look").into(),
            left: number(rect, "x"),
            top,
            bottom: top + number(rect, "height"),
        }
    };
    svg.split(r#"<g class="step""#).skip(1).map(drawn).collect()
}

/// The names of the lanes with their left ends.
fn names(svg: &str) -> Vec<(String, usize)> {
    let name = |group: &str| {
        let text = group.split("</text>").next().unwrap().rsplit('>').next().unwrap();
        (text.to_owned(), number(group, "x"))
    };
    svg.split(r#"<g class="name"><rect"#).skip(1).map(name).collect()
}

/// Where each arrow comes from, and the line that it leads to.
fn wakes(svg: &str) -> Vec<(String, usize)> {
    let wake = |tag: &str| (attribute(tag, "data-from").to_owned(), number(tag, "data-to"));
    svg.split(r#"<path class="wake""#).skip(1).map(wake).collect()
}

/// Does each tag that begins also end, with nothing in between that XML forbids?
fn is_well_formed(svg: &str) -> bool {
    let mut open = Vec::new();
    for part in svg.split('<').skip(1) {
        let Some((tag, text)) = part.split_once('>') else { return false };
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return false;
            }
        } else if !tag.ends_with('/') {
            open.push(tag.split_whitespace().next().unwrap());
        }
        let mut entities = text.split('&').skip(1);
        if !entities.all(|rest| ["amp;", "lt;", "gt;", "quot;"].iter().any(|e| rest.starts_with(e)))
        {
            return false;
        }
    }
    open.is_empty()
}

/// Checks what holds for all pictures.
fn picture(failure: &Failure) -> String {
    let svg = failure.to_svg();
    assert_eq!(svg, failure.to_svg());
    assert!(is_well_formed(&svg), "{svg}");
    let (boxes, names) = (boxes(&svg), names(&svg));
    assert_eq!(boxes.len(), failure.steps().len());
    for (at, drawn) in boxes.iter().enumerate() {
        assert_eq!(drawn.number, at + 1);
        assert!(names.contains(&(drawn.lane.clone(), drawn.left)), "{} has no lane", drawn.lane);
        assert!(drawn.top < drawn.bottom);
        assert!(at == 0 || boxes[at - 1].bottom < drawn.top, "boxes overlap in {svg}");
        assert!(svg.contains(&format!("<title>{}  ", at + 1)));
    }
    let woken = (1..).zip(failure.steps()).filter(|(_, step)| step.contains(", woken by "));
    let mut arrows: Vec<_> = wakes(&svg).into_iter().map(|(_, to)| to).collect();
    arrows.sort_unstable();
    assert_eq!(arrows, woken.map(|(number, _)| number).collect::<Vec<_>>());
    svg
}

/// The failure of a test that never succeeds.
fn fails(test: impl Fn(&World) -> Result<(), Error>) -> Failure {
    let failure = explore::dfs(1).check(|world: &World| {
        test(world)?;
        Err(Error::other("to see the steps"))
    });
    failure.unwrap_err()
}

#[test]
fn each_step_has_a_box_in_the_lane_of_its_job() {
    let failure = fails(|world| run_all(world, &mut [steps(2).named("a"), steps(3).named("b")]));
    let svg = picture(&failure);
    let lanes: Vec<_> = boxes(&svg).into_iter().map(|drawn| drawn.lane).collect();
    assert_eq!(lanes, ["a#0", "a#0", "b#1", "b#1", "b#1"]);
    let names = names(&svg);
    assert!(names.len() == 2 && names[0].1 < names[1].1);
    let replay = format!("replay(&quot;{}&quot;)", failure.schedule());
    assert!(svg.contains(&replay) && svg.contains("to see the steps"));
}

#[test]
fn an_arrow_leads_from_the_very_step_that_has_woken_a_job() {
    let failure = fails(|world| {
        let (bell, clock) = (Event::new(), world.clock());
        let waiter = Future::new(ok(bell.wait())).named("waiter");
        let ringer = Future::new(async move {
            clock.sleep(Duration::from_secs(1)).await;
            bell.set();
            yield_now().await; // the waiter goes on after the next step, and was not woken by that
            yield_now().await;
            Ok(())
        });
        run_all(world, &mut [waiter, ringer.named("ringer")])
    });
    assert_eq!(
        failure.steps()[2..],
        [
            "the clock goes to 1s",
            "ringer#1 step 2, woken by the clock: yields",
            "ringer#1 step 3, goes on: yields",
            "ringer#1 step 4, goes on: done",
            "waiter#0 step 2, woken by ringer#1: done",
        ]
    );
    assert_eq!(wakes(&picture(&failure)), [("3".into(), 4), ("4".into(), 7)]);
}

#[test]
fn an_arrow_comes_from_the_lane_of_the_test_if_that_has_woken_a_job() {
    let failure = fails(|world| {
        let bell = Event::new();
        let mut waiter = Future::new(ok(bell.wait()));
        let job = world.pool().submit(waiter.to_job()?);
        world.pool().submit_fn(|| ()).wait();
        bell.set();
        job.wait();
        assert_eq!(world.choose(2), 0);
        Ok(())
    });
    let svg = picture(&failure);
    assert_eq!(wakes(&svg), [("the test".into(), 3)]);
    let lanes: Vec<_> = boxes(&svg).into_iter().map(|drawn| drawn.lane).collect();
    assert_eq!(lanes, ["job#0", "job#1", "job#0", "the test"]);
}

#[test]
fn ends_of_steps_look_different() {
    let failure = explore::dfs(1).check(|world: &World| -> Result<(), Error> {
        let (clock, own) = (world.clock(), Arc::new(OnceLock::<JobHandle>::new()));
        let mut fails = Future::new(async { Err::<(), _>(Error::other("no")) });
        let mut done = Future::new(async move {
            yield_now().await;
            clock.sleep(Duration::from_secs(1)).await;
            Ok(())
        });
        let mut cancelled = Future::new({
            let own = own.clone();
            async move {
                own.wait().cancel();
                yield_now().await;
                Ok(())
            }
        });
        world.pool().submit(fails.to_job()?);
        world.pool().submit(done.to_job()?);
        let _ = own.set(world.pool().submit(cancelled.to_job()?));
        world.run_all();
        Ok(())
    });
    let failure = failure.unwrap_err();
    let svg = picture(&failure);
    let looks: Vec<_> = boxes(&svg).into_iter().map(|drawn| drawn.look).collect();
    for look in ["yields", "waits", "done", "failed", "cancelled", "event"] {
        assert!(looks.iter().any(|other| other == look), "{look} is not in {looks:?}");
    }
}

#[test]
fn texts_are_escaped_and_cut() {
    let name = r#"<a & "b">"#;
    let failure = explore::dfs(1).check(|world: &World| -> Result<(), Error> {
        let inside = world.clone();
        let call = Future::new(async move {
            (0..20).for_each(|shelf| inside.touches(format!("<{shelf}>")));
            inside.touches("x".repeat(1_000));
            inside.touches("a bell \u{7}");
            Ok(())
        });
        run_all(world, &mut [call.named(name)])?;
        Err(Error::other("<&> ".repeat(200)))
    });
    let failure = failure.unwrap_err();
    let svg = picture(&failure);
    assert!(!svg.contains(name) && !svg.contains('\u{7}'));
    assert_eq!(names(&svg)[0].0, "&lt;a &amp; &quot;b&quot;&gt;#0");
    assert!(svg.contains(">touches &lt;0&gt;</text>") && svg.contains(">… and "));
    let texts = svg.split("<text").skip(1).map(|text| text.split("</text>").next().unwrap());
    let letters = |text: &str| text.split('>').next_back().unwrap().replace("&lt;", "<").len();
    assert!(texts.map(letters).max().unwrap() < 200);
}

#[test]
fn three_hundred_steps_and_no_step_have_a_picture() {
    let failure = fails(|world| {
        let bells = [Event::new(), Event::new()];
        let mut calls = [0, 1].map(|own| {
            let bells = bells.clone();
            Future::new(async move {
                for _ in 0..75 {
                    bells[1 - own].set();
                    yield_now().await;
                    bells[own].wait().await;
                    bells[own].reset();
                    yield_now().await;
                }
                bells[1 - own].set();
                Ok(())
            })
        });
        run_all(world, &mut calls)
    });
    assert!(failure.steps().len() >= 300, "{failure}");
    let svg = picture(&failure);
    assert!(wakes(&svg).len() > 50, "{failure}");

    let nothing = fails(|_| Ok(()));
    assert!(nothing.steps().is_empty());
    picture(&nothing);
}
