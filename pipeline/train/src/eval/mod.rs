//! Retrieval and captioning metrics (BLIP, section 5).
