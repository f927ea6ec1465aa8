//! Scenes of clips, and their frames.

use crate::{
    draw::{Backdrop, Placed, place, render},
    event::Event,
    random::Random,
    scene::{Colour, Object, Scene, VERSION, one_of},
};
use rand::{RngExt as _, SeedableRng as _};

/// Places of the change from "not seen" to "seen", or back, as shares of the clip.
const CHANGE: std::ops::Range<f32> = 0.4..0.6;

impl Scene {
    /// A random clip with at most `most` objects. In two of three clips, two different objects take turns:
    /// the first disappears and the second appears, so that no frame has both. In the other clips, one object
    /// has any event.
    pub fn clip(most: u8, random: &mut Random) -> Self {
        let first = Object::any(random);
        let (mut objects, mut events) = (vec![first], vec![one_of(&Event::ALL, random)]);
        if most > 1 && random.random_bool(2.0 / 3.0) {
            let mut second = Object::any(random);
            while second == first {
                second = Object::any(random);
            }
            objects.push(second);
            events = vec![Event::Disappears, Event::Appears];
        }
        let background = one_of(Colour::of_backgrounds(), random);
        Self { version: VERSION, background, objects, axis: None, events }
    }
}

/// Renders the frames of a clip, `side × side × 3` bytes each. Colours, sizes, light and the background are
/// those of one recording; noise differs between frames.
pub fn frames(scene: &Scene, side: usize, count: usize, random: &mut Random) -> Vec<Vec<u8>> {
    let objects = place(scene, random);
    let backdrop = Backdrop::any(scene, random);
    // One change for all objects: those that take turns are never seen together.
    let change = random.random_range(CHANGE);
    let mut grains = random.fork();
    let frame = |number: usize| {
        let at = (number as f32 + 0.5) / count as f32;
        let seen = objects.iter().zip(&scene.events);
        let seen: Vec<Placed> =
            seen.filter_map(|(object, event)| shown(object, *event, at, change)).collect();
        render(&seen, &backdrop, side, &mut grains)
    };
    (0..count).map(frame).collect()
}

/// An object at a time from 0 to 1; `None` while the object is not seen.
fn shown(object: &Placed, event: Event, at: f32, change: f32) -> Option<Placed> {
    let ((near, far), (x, y)) = (object.room(), object.centre());
    let (forth, back) = (near + at * (far - near), far + at * (near - far));
    match event {
        Event::Appears => (at >= change).then_some(*object),
        Event::Disappears => (at < change).then_some(*object),
        Event::Left => Some(object.at(back, y)),
        Event::Right => Some(object.at(forth, y)),
        Event::Up => Some(object.at(x, back)),
        Event::Down => Some(object.at(x, forth)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        colours,
        grammar::{event_claims, say},
        parse::{Verdict, parse, truth},
        random::{Purpose, of},
    };

    #[test]
    fn clips_come_back_from_their_json_and_a_picture_has_no_events_in_it() {
        for number in 0..200 {
            let mut random = of(1, Purpose::Clips, number);
            let clip = Scene::clip(2, &mut random);
            assert_eq!(Scene::parse(&clip.to_json()), Ok(clip));
            assert!(!Scene::any(&mut random).to_json().contains("events"));
        }
        let clip = Scene::clip(1, &mut of(1, Purpose::Clips, 0)).to_json();
        let event = &clip[clip.find(",\"events\"").unwrap()..];
        let two = clip.replace(event, ",\"events\":[\"left\",\"up\"]}");
        assert!(Scene::parse(&two).unwrap_err().contains("event per object"));
    }

    #[test]
    fn a_text_of_an_event_parses_is_true_and_is_false_of_the_reversed_clip() {
        for number in 0..5000 {
            let mut random = of(2, Purpose::Clips, number);
            let clip = Scene::clip(2, &mut random);
            let claims = event_claims(&clip, &mut random);
            let text = say(&claims, &mut random);
            assert_eq!(parse(&text), Some(claims), "{text}");
            assert_eq!(truth(&text, &clip), Verdict::True, "{text} of {clip:?}");
            let mut reversed = clip.clone();
            reversed.events.iter_mut().for_each(|event| *event = event.reversed());
            // Two objects that differ only in a size that the text does not name exchange their events.
            if clip.objects.len() == 1 {
                assert_eq!(truth(&text, &reversed), Verdict::False, "{text} of {reversed:?}");
            }
            let still = Scene { events: Vec::new(), ..clip };
            assert_eq!(truth(&text, &still), Verdict::False, "{text} of a picture");
        }
    }

    /// Number of pixels near the colour of an object, and the mean column and row of these pixels.
    fn seen(pixels: &[u8], side: usize, scene: &Scene, object: usize) -> (usize, f32, f32) {
        let middle = colours::middle(scene.objects[object].colour);
        let near = |pixel: &[u8]| (0..3).all(|i| (f32::from(pixel[i]) - middle[i]).abs() < 32.0);
        let places = pixels.chunks_exact(3).enumerate().filter(|(_, pixel)| near(pixel)).map(|(at, _)| at);
        let places: Vec<usize> = places.collect();
        let mean = |of: fn(usize, usize) -> usize| {
            places.iter().map(|at| of(*at, side) as f32).sum::<f32>() / places.len().max(1) as f32
        };
        (places.len(), mean(|at, side| at % side), mean(|at, side| at / side))
    }

    #[test]
    fn each_event_happens_in_the_frames_and_no_frame_has_two_objects_that_take_turns() {
        const SIDE: usize = 48;
        for number in 0..120 {
            let mut random = of(3, Purpose::Clips, number);
            let scene = Scene::clip(2, &mut random);
            let frames = frames(&scene, SIDE, 8, &mut random);
            assert_eq!((frames.len(), frames[0].len()), (8, SIDE * SIDE * 3));
            if scene.objects.len() == 2 && scene.objects[0].colour == scene.objects[1].colour {
                continue;
            }
            for (object, event) in scene.events.iter().enumerate() {
                let [first, last] = [0, 7].map(|frame| seen(&frames[frame], SIDE, &scene, object));
                let happens = match event {
                    Event::Left => last.1 < first.1 - 5.0,
                    Event::Right => last.1 > first.1 + 5.0,
                    Event::Up => last.2 < first.2 - 5.0,
                    Event::Down => last.2 > first.2 + 5.0,
                    Event::Appears => first.0 == 0 && last.0 > 20,
                    Event::Disappears => first.0 > 20 && last.0 == 0,
                };
                assert!(happens, "{number}: {event:?} of {scene:?}: {first:?} {last:?}");
            }
            if scene.objects.len() == 2 {
                let both = |frame: &Vec<u8>| (0..2).all(|object| seen(frame, SIDE, &scene, object).0 > 20);
                assert!(!frames.iter().any(both), "{number}: {scene:?}");
            }
        }
    }
}
