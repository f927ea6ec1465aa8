//! Gradient checkpointing: the backward pass computes the vision tower's blocks again instead of storing
//! their activations (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost").
//!
//! Stored are depth × pairs × tokens × width elements, for ViT-L at 384 px 24 × 577 × 1024 × 4 bytes = 57 MB
//! per image; all activations would be about 30 times as many.

use capfilt_blip::vit::VisionTower;
use tch::{TchError, Tensor};

/// A forward pass that stored only the blocks' inputs.
pub struct Recomputed {
    /// The first block's input, part of the graph.
    embedded: Tensor,
    /// Inputs of each block and of the final norm, without a graph.
    inputs: Vec<Tensor>,
    /// A leaf that receives the gradient of the losses.
    states: Tensor,
    seed: i64,
}

impl Recomputed {
    /// Runs images through the tower. With the same `seed`, the second pass drops the same elements as the
    /// first.
    pub fn forward(tower: &VisionTower, pixels_norm: &Tensor, seed: i64) -> Result<Self, TchError> {
        let embedded = tower.embed(pixels_norm)?;
        let mut inputs = vec![embedded.f_detach()?];
        let states = tch::no_grad(|| {
            for i in 0..tower.depth() {
                tch::manual_seed(block_seed(seed, i));
                inputs.push(tower.block(i, &inputs[i])?);
            }
            tower.finish(&inputs[tower.depth()])
        })?;
        tch::manual_seed(seed);
        let states = states.f_detach()?.f_set_requires_grad(true)?;
        Ok(Self { embedded, inputs, states, seed })
    }

    /// (images, tokens, width)
    pub fn states(&self) -> &Tensor {
        &self.states
    }

    /// Backpropagates the states' gradient through the tower, block by block from the last.
    pub fn backward(mut self, tower: &VisionTower) -> Result<(), TchError> {
        let mut gradient = self.states.grad();
        let mut through = |input: Tensor, part: &dyn Fn(&Tensor) -> Result<Tensor, TchError>| {
            let input = input.f_set_requires_grad(true)?;
            part(&input)?.f_mul(&gradient)?.f_sum(None::<tch::Kind>)?.backward();
            gradient = input.grad();
            Ok::<_, TchError>(())
        };
        let depth = tower.depth();
        through(self.inputs.swap_remove(depth), &|xs| tower.finish(xs))?;
        for (i, input) in self.inputs.drain(..).enumerate().rev() {
            tch::manual_seed(block_seed(self.seed, i));
            through(input, &|xs| tower.block(i, xs))?;
        }
        self.embedded.f_mul(&gradient)?.f_sum(None::<tch::Kind>)?.backward();
        Ok(())
    }
}

fn block_seed(seed: i64, block: usize) -> i64 {
    seed.wrapping_mul(0x5851_F42D).wrapping_add(block as i64 + 1)
}
