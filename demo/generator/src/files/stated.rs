//! Rows of statements about pairs of pictures.

use super::{MakeError, Order, encode, numbers, url};
use crate::{
    draw::draw,
    noise::Kind,
    scene::Scene,
    statements::Statement,
    table::{Row, Second},
};
use rand::RngExt as _;

/// Statements, each about a separate pair of pictures; a false one has the kind of an exchanged claim.
pub(super) fn rows(number: u64, order: &Order) -> Result<Vec<Row>, MakeError> {
    let (mut random, side) = (numbers(number, order), usize::from(order.side));
    let row = |text: u64| {
        let (statement, is_true) = (Statement::any(&mut random), random.random_bool(0.5));
        let scenes = statement.scenes(is_true, order.objects, &mut random);
        let mut jpg = |scene: &Scene| encode(&draw(scene, side, &mut random), side);
        let failed = |source| MakeError::Jpeg { number, source };
        let (left, right) = (jpg(&scenes[0]).map_err(failed)?, jpg(&scenes[1]).map_err(failed)?);
        Ok(Row {
            key: format!("{number:09}{text:02}"),
            jpgs: [left].into(),
            caption: statement.say(&mut random),
            answer: None,
            url: url(number, order),
            kind: if is_true { Kind::True } else { Kind::Swapped },
            scene: scenes[0].to_json(),
            second: Some(Second { jpg: right, scene: scenes[1].to_json(), form: statement.form() }),
        })
    };
    (0..order.captions).map(row).collect()
}
