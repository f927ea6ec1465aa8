use super::*;
use serde_json::json;

#[test]
fn an_empty_config_is_vit_b_32_and_an_old_section_replaces_the_new_one() {
    let of = |value: Value| ClipConfig::from_transformers(&value.to_string());
    let plain = of(json!({})).unwrap();
    assert_eq!((plain.vision.width, plain.grid(), plain.text.heads, plain.projection), (768, 7, 8, 512));
    assert_eq!((plain.vision.activation, plain.end), (Activation::QuickGelu, EndToken::Id(49407)));
    let old = of(json!({
        "projection_dim": 768,
        "vision_config": {"hidden_size": 5},
        "vision_config_dict": {"hidden_size": 1024, "num_attention_heads": 16, "patch_size": 14},
        "text_config": {"hidden_act": "gelu", "eos_token_id": 2},
        "text_config_dict": null,
    }));
    let old = old.unwrap();
    assert_eq!((old.vision.width, old.vision.intermediate, old.patch_size), (1024, 3072, 14));
    assert_eq!((old.text.activation, old.end), (Activation::Gelu, EndToken::LargestId));
}

#[test]
fn the_sizes_of_open_clip_are_its_defaults_and_other_architectures_are_named() {
    let of = |vision: Value, text: Value| {
        let whole = json!({"model_cfg": {"embed_dim": 512, "vision_cfg": vision, "text_cfg": text}});
        ClipConfig::from_open_clip(&whole.to_string())
    };
    let b32 = of(json!({"layers": 12, "width": 768, "patch_size": 32}), json!({"heads": 8})).unwrap();
    assert_eq!((b32.vision.heads, b32.vision.intermediate, b32.text.width), (12, 3072, 512));
    assert_eq!(b32.vision.activation, Activation::Gelu);
    for (vision, text, key) in [
        (json!({"timm_model_name": "vit"}), json!({}), "timm_model_name of vision_cfg"),
        (json!({"attentional_pool": true}), json!({}), "attentional_pool of vision_cfg"),
        (json!({"layers": [3, 4, 6, 3]}), json!({}), "layers of vision_cfg is [3,4,6,3]"),
        (json!({}), json!({"hf_model_name": "roberta-base"}), "hf_model_name of text_cfg"),
        (json!({}), json!({"pool_type": "last"}), "pool_type of text_cfg"),
    ] {
        let error = of(vision, text).unwrap_err();
        assert!(error.contains(key), "{error}");
    }
    assert!(ClipConfig::from_open_clip("{}").unwrap_err().contains("vectors is 0"));
}

#[test]
fn sizes_that_no_model_has_are_refused_by_name() {
    for (config, expected) in [
        (json!({"model_type": "siglip"}), "model_type is \"siglip\""),
        (json!({"vision_config": {"hidden_size": 0}}), "width of the image encoder is 0"),
        (json!({"vision_config": {"image_size": [224, 224]}}), "image_size of vision_config is [224,224]"),
        (json!({"vision_config": {"patch_size": 33}}), "not a multiple of patch_size 33"),
        (json!({"text_config": {"num_attention_heads": 7}}), "not a multiple of its 7 heads"),
        (json!({"text_config": {"num_hidden_layers": 100_000}}), "has 100000 layers"),
        (json!({"text_config": {"max_position_embeddings": 2}}), "longest text has 2 tokens"),
        (json!({"text_config": {"hidden_act": "relu"}}), "hidden_act of text_config is \"relu\""),
        (json!({"text_config": {"eos_token_id": [1]}}), "eos_token_id of text_config is [1]"),
        (json!({"text_config": 7}), "text_config is 7"),
        (json!({"projection_dim": -1}), "vectors is -1"),
        (json!({"vision_config": {"layer_norm_eps": 2.0}}), "layer_norm_eps"),
    ] {
        let error = ClipConfig::from_transformers(&config.to_string()).unwrap_err();
        assert!(error.contains(expected), "{config}: {error}");
    }
}
