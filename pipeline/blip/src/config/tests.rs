use super::*;

#[test]
fn absent_heads_are_twelve_and_not_the_library_default_of_eight() {
    let config = MedConfig::from_json(
        r#"{"text_config": {}, "vision_config": {"hidden_size": 1024, "num_attention_heads": 16}}"#,
    )
    .unwrap();
    assert_eq!(config.text.num_attention_heads, 12);
    assert_eq!(config.text.encoder_hidden_size, None);
    assert_eq!(config.text.enc_token_id(), 30523);
}

#[test]
fn an_impossible_config_is_refused_with_its_reason() {
    let error = MedConfig::from_json(r#"{"vision_config": {"image_size": 385}}"#).unwrap_err();
    assert!(error.contains("385"), "{error}");
    let error = MedConfig::from_json(r#"{"text_config": {"sep_token_id": null}}"#).unwrap_err();
    assert!(error.contains("sep_token_id of text_config is null"), "{error}");
    // transformers 4 wrote all keys of every section.
    let published = r#"{"vision_config": {"sep_token_id": null, "pad_token_id": null, "vocab_size": null}}"#;
    assert!(MedConfig::from_json(published).is_ok());
}
