use super::*;

const OWN: &str = "[run]\nfolder='/r'\n[model]\nvocabulary='/v'\n[[data]]\nurl='/d'\n";

#[test]
fn the_defaults_of_every_task_are_blip_s() {
    let of = |task| Training::parse(task, OWN, &[]).unwrap();
    let pretrain = of(Task::Pretrain);
    assert_eq!(pretrain.objective.losses, [Loss::Itc, Loss::Itm, Loss::Lm]);
    assert_eq!(
        (pretrain.objective.queue, pretrain.objective.momentum, pretrain.objective.alpha),
        (57_600, 0.995, 0.4)
    );
    assert_eq!((pretrain.optimizer.learning_rate, pretrain.optimizer.weight_decay), (3e-4, 0.05));
    assert_eq!((pretrain.augment.min_scale, pretrain.objective.max_tokens), (0.2, 30));
    let filter = of(Task::Filter);
    assert_eq!(
        (filter.objective.losses.as_slice(), filter.objective.image_ids),
        ([Loss::Itc, Loss::Itm].as_slice(), true)
    );
    assert_eq!(
        (filter.run.epochs, filter.optimizer.schedule, filter.model.image_size),
        (6, Schedule::Cosine, 384)
    );
    let captioner = of(Task::Captioner);
    assert_eq!((captioner.run.epochs, captioner.objective.max_tokens), (5, 40));
    assert_eq!(captioner.objective.prompt, "a picture of ");
    let vqa = of(Task::Vqa);
    assert_eq!((vqa.run.epochs, vqa.run.batch, vqa.model.image_size), (10, 16, 480));
    assert_eq!((vqa.optimizer.learning_rate, vqa.optimizer.schedule), (2e-5, Schedule::Cosine));
    assert_eq!((vqa.model.drop_path, vqa.model.sharing), (0.1, Sharing::None));
    assert_eq!((vqa.objective.max_tokens, vqa.objective.label_smoothing), (35, 0.1));
    let nlvr = of(Task::Nlvr);
    assert_eq!((nlvr.run.epochs, nlvr.run.batch, nlvr.model.image_size), (15, 16, 384));
    assert_eq!((nlvr.optimizer.learning_rate, nlvr.optimizer.schedule), (3e-5, Schedule::Cosine));
    assert_eq!((nlvr.objective.losses.as_slice(), nlvr.model.drop_path), ([Loss::Itm].as_slice(), 0.1));
}

#[test]
fn questions_have_columns_that_texts_do_not_have() {
    let fault = |task: Task, source: &str, overrides: &[&str]| {
        let text = OWN.replace("url='/d'", source);
        let overrides: Vec<String> = overrides.iter().map(|entry| (*entry).to_owned()).collect();
        Training::parse(task, &text, &overrides).err().map_or_else(String::new, |error| error.to_string())
    };
    let vqa = |source: &str| fault(Task::Vqa, source, &[]);
    assert_eq!(vqa("url='/d'\nquestion='q'\nanswers='a'\nanswer_weight=0.2"), "");
    assert!(vqa("job='/j'").contains("data.job"), "{}", vqa("job='/j'"));
    assert!(vqa("url='/d'\ntext='q'").contains("data.question"), "{}", vqa("url='/d'\ntext='q'"));
    assert!(vqa("url='/d'\nanswer_weight=0.0").contains("data.answer_weight"));
    for own in ["question='q'", "answers='a'", "answer_weight=0.2"] {
        let said = fault(Task::Captioner, &format!("url='/d'\n{own}"), &[]);
        assert!(said.contains("data.") && said.contains("train vqa"), "{own}: {said}");
    }
    for (setting, key) in [
        ("objective.losses=[\"itc\", \"lm\"]", "objective.losses"),
        ("model.sharing=\"all\"", "model.sharing"),
        ("objective.prompt=\"a picture of \"", "objective.prompt"),
    ] {
        let said = fault(Task::Vqa, "url='/d'", &[setting, "objective.queue=16"]);
        assert!(said.contains(key), "{setting}: {said}");
    }
}

#[test]
fn statements_have_columns_that_texts_do_not_have() {
    let fault = |task: Task, source: &str, setting: &[&str]| {
        let text = OWN.replace("url='/d'", source);
        let overrides: Vec<String> = setting.iter().map(|entry| (*entry).to_owned()).collect();
        Training::parse(task, &text, &overrides).err().map_or_else(String::new, |error| error.to_string())
    };
    let nlvr = |source: &str| fault(Task::Nlvr, source, &[]);
    assert_eq!(nlvr("url='/d'\nstatement='s'\nsecond_image='right'\nlabel='l'"), "");
    assert!(nlvr("job='/j'").contains("data.job"), "{}", nlvr("job='/j'"));
    assert!(nlvr("url='/d'\ntext='s'").contains("data.statement"), "{}", nlvr("url='/d'\ntext='s'"));
    assert!(nlvr("url='/d'\nanswers='a'").contains("train vqa"), "{}", nlvr("url='/d'\nanswers='a'"));
    for own in ["statement='s'", "second_image='right'", "label='l'"] {
        let said = fault(Task::Vqa, &format!("url='/d'\n{own}"), &[]);
        assert!(said.contains("data.") && said.contains("train nlvr"), "{own}: {said}");
    }
    for (setting, key) in [
        ("objective.losses=[\"itc\", \"itm\"]", "objective.losses"),
        ("model.sharing=\"all\"", "model.sharing"),
        ("objective.prompt=\"a picture of \"", "objective.prompt"),
        ("objective.random_words=0.5", "objective.random_words"),
    ] {
        let said = fault(Task::Nlvr, "url='/d'", &[setting, "objective.queue=16"]);
        assert!(said.contains(key), "{setting}: {said}");
    }
}

#[test]
fn a_user_s_tables_are_laid_over_the_defaults_key_by_key() {
    let overrides = ["objective.queue=120", "run.batch=60"].map(str::to_owned);
    let settings = Training::parse(Task::Filter, OWN, &overrides).unwrap();
    assert_eq!((settings.objective.queue, settings.run.batch, settings.objective.momentum), (120, 60, 0.995));
    let data = |source: &str| {
        let text = OWN.replace("url='/d'", source);
        Training::parse(Task::Filter, &text, &[]).err().map_or_else(String::new, |error| error.to_string())
    };
    assert_eq!(data("job='/j'\ntexts='random'"), "");
    for wrong in ["weight=1.0", "url='/d'\njob='/j'", "url='/d'\ntexts='web'", "job='/j'\nwhere='a = 1'"] {
        assert!(data(wrong).contains("data."), "{wrong}: {}", data(wrong));
    }
    let error = Training::parse(Task::Filter, OWN, &["objective.queu=1".to_owned()]).unwrap_err().to_string();
    assert!(error.contains("did you mean `queue`"), "{error}");
    // A captioner has no text encoder.
    for of_an_encoder in ["objective.causal_steps=5", "objective.random_words=0.5"] {
        let alone =
            Training::parse(Task::Captioner, OWN, &[of_an_encoder.to_owned()]).unwrap_err().to_string();
        assert!(alone.contains(of_an_encoder.split('=').next().unwrap()), "{of_an_encoder}: {alone}");
    }
}

#[test]
fn the_demo_s_runs_have_valid_settings() {
    for (task, text) in [
        (Task::Pretrain, include_str!("../../../../demo/train/pretrain.toml")),
        (Task::Pretrain, include_str!("../../../../demo/train/relations.toml")),
        (Task::Filter, include_str!("../../../../demo/train/places.toml")),
        (Task::Filter, include_str!("../../../../demo/train/opening.toml")),
        (Task::Filter, include_str!("../../../../demo/train/filter.toml")),
        (Task::Filter, include_str!("../../../../demo/train/finish.toml")),
        (Task::Captioner, include_str!("../../../../demo/train/captioner.toml")),
        (Task::Vqa, include_str!("../../../../demo/train/vqa.toml")),
        (Task::Nlvr, include_str!("../../../../demo/train/nlvr.toml")),
    ] {
        Training::parse(task, text, &[]).unwrap_or_else(|error| panic!("{}: {error}", task.name()));
    }
}
