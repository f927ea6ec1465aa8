//! Parses a caption's claims, and decides whether they are true of a scene.

use crate::{
    event::Event,
    grammar::{BACKGROUND, Claims, GROUNDS, Named, RELATIONS, Relation, THERE_IS, TWO_SHAPES, WE_SEE},
    scene::{Axis, Colour, Object, Scene, Shape, Size},
};

/// Truth of a caption for a scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The text describes the scene.
    True,
    /// The text contradicts the scene.
    False,
    /// The caption does not follow the grammar.
    Unparsable,
}

/// Decides whether a caption is true of a scene.
pub fn truth(caption: &str, scene: &Scene) -> Verdict {
    match parse(caption) {
        None => Verdict::Unparsable,
        Some(claims) if holds(&claims, scene) => Verdict::True,
        Some(_) => Verdict::False,
    }
}

/// Column of the demo's pairs that describes the picture.
pub const SCENE: &str = "scene";

/// A row whose scene is unknown.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum SceneError {
    #[error("a row has no `{SCENE}`")]
    Missing,
    #[error("column `{SCENE}`: {0}")]
    Damaged(String),
}

/// Share of captions that are true of their scenes; a scene is the text of column [`SCENE`].
///
/// # Errors
/// A caption without a scene.
pub fn share_true<'a>(
    captions: impl ExactSizeIterator<Item = (&'a String, Option<&'a str>)>,
) -> Result<f64, SceneError> {
    let (all, mut are_true) = (captions.len().max(1), 0);
    for (caption, scene) in captions {
        let scene = Scene::parse(scene.ok_or(SceneError::Missing)?).map_err(SceneError::Damaged)?;
        are_true += u32::from(truth(caption, &scene) == Verdict::True);
    }
    Ok(f64::from(are_true) / all as f64)
}

/// Parses a caption's claims; `None` if it does not follow the grammar. Ignores case, commas and the
/// characters that BLIP's cleaning drops (`pre_caption` in its code).
pub fn parse(caption: &str) -> Option<Claims> {
    let ignored = |c: char| if ".!\"()*#:;~,".contains(c) { ' ' } else { c };
    let cleaned: String = caption.to_lowercase().chars().map(ignored).collect();
    let words: Vec<&str> = cleaned.split_whitespace().collect();
    let mut rest = words.as_slice();
    let (claims, leave) = match ground(&mut rest) {
        Some(background) => {
            skip(&mut rest, THERE_IS);
            (things(&mut rest, Some(background?))?, false)
        }
        None => {
            let two = skip(&mut rest, TWO_SHAPES);
            let _ = two || skip(&mut rest, THERE_IS) || skip(&mut rest, WE_SEE);
            let claims = things(&mut rest, None)?;
            (claims, two && claims.second.is_none())
        }
    };
    let background = match claims.background {
        None => ground(&mut rest).map_or(Some(None), |background| background.map(Some))?,
        known => known,
    };
    (rest.is_empty() && !leave).then_some(Claims { background, ..claims })
}

/// Parses a background at the front: `None` without one, `Some(None)` for a malformed one.
fn ground(rest: &mut &[&str]) -> Option<Option<Colour>> {
    GROUNDS.iter().any(|ground| skip(rest, ground)).then(|| {
        article(rest)?;
        let background = word(rest, Colour::of)?;
        skip(rest, BACKGROUND).then_some(background)
    })
}

fn things(rest: &mut &[&str], background: Option<Colour>) -> Option<Claims> {
    let first = object(rest)?;
    let event = Event::ALL.into_iter().find(|event| event.phrases().iter().any(|phrase| skip(rest, phrase)));
    if event.is_some() {
        return Some(Claims { first, second: None, event, background });
    }
    let relation = RELATIONS.iter().find(|(phrase, _)| skip(rest, phrase));
    let second = match relation {
        Some((_, relation)) => Some((*relation, object(rest)?)),
        None => None,
    };
    Some(Claims { first, second, event: None, background })
}

fn object(rest: &mut &[&str]) -> Option<Named> {
    article(rest)?;
    let size = word(rest, Size::of);
    Some(Named { size, colour: word(rest, Colour::of)?, shape: word(rest, Shape::of)? })
}

/// Accepts either article: a captioner that confuses them still makes a claim.
fn article(rest: &mut &[&str]) -> Option<()> {
    (skip(rest, "a") || skip(rest, "an")).then_some(())
}

/// Takes a word from the front, if it has a meaning of this type.
fn word<T>(rest: &mut &[&str], meaning: fn(&str) -> Option<T>) -> Option<T> {
    let thing = meaning(rest.first()?)?;
    *rest = &rest[1..];
    Some(thing)
}

/// Takes a phrase from the front, if it is there.
fn skip(rest: &mut &[&str], phrase: &str) -> bool {
    let words: Vec<&str> = phrase.split(' ').collect();
    let found = rest.starts_with(&words);
    if found {
        *rest = &rest[words.len()..];
    }
    found
}

/// Whether claims hold: the named objects are different objects of the scene, in the claimed relation.
pub fn holds(claims: &Claims, scene: &Scene) -> bool {
    claims.background.is_none_or(|background| background == scene.background) && things_hold(claims, scene)
}

fn things_hold(claims: &Claims, scene: &Scene) -> bool {
    let is = |named: &Named, object: &Object| {
        named.size.is_none_or(|size| size == object.size)
            && (named.colour, named.shape) == (object.colour, object.shape)
    };
    if claims.event.is_some() {
        let mut objects = scene.objects.iter().zip(&scene.events);
        return objects.any(|(object, event)| is(&claims.first, object) && claims.event == Some(*event));
    }
    match (&claims.second, scene.objects.as_slice()) {
        (None, objects) => objects.iter().any(|object| is(&claims.first, object)),
        (Some((relation, second)), [a, b]) => {
            let forth = is(&claims.first, a) && is(second, b);
            let back = is(&claims.first, b) && is(second, a);
            match (relation, scene.axis) {
                (Relation::And, _) => forth || back,
                (Relation::Left, Some(Axis::Across)) | (Relation::Above, Some(Axis::Down)) => forth,
                (Relation::Right, Some(Axis::Across)) | (Relation::Below, Some(Axis::Down)) => back,
                _ => false,
            }
        }
        (Some(_), _) => false,
    }
}

#[cfg(test)]
mod tests;
