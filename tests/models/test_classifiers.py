"""Heads of classifiers: their losses against formulas, their options, what they count."""

import numpy as np
import pytest

from plainformer.errors import ConfigError, ShapeError

from .tiny import batch_for, make

CLASSES = 3


def log_softmax(x):
    x = np.asarray(x, np.float64)
    return (
        x
        - np.log(np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True))
        - x.max(-1, keepdims=True)
    )


@pytest.fixture
def classifier():
    return make("bert", "sequence-classification", num_labels=CLASSES).eval()


@pytest.fixture
def batch(rng):
    return batch_for("sequence-classification", rng, CLASSES)


class TestOneClass:
    def test_loss_is_the_mean_cross_entropy(self, classifier, batch):
        output = classifier(**batch)
        losses = -log_softmax(output.logits)[np.arange(3), batch["labels"]]
        assert output.loss.item() == pytest.approx(losses.mean(), rel=1e-5)
        total = classifier(**batch, num_items_in_batch=1).loss.item()
        assert total == pytest.approx(losses.sum(), rel=1e-5)

    def test_weights_of_classes(self, classifier, batch):
        weights = np.array([0.5, 2.0, 1.0])
        output = classifier(**batch, class_weight=weights)
        own = weights[batch["labels"]]
        losses = -log_softmax(output.logits)[np.arange(3), batch["labels"]] * own
        assert output.loss.item() == pytest.approx(losses.sum() / own.sum(), rel=1e-5)
        total = classifier(**batch, class_weight=weights, num_items_in_batch=1).loss.item()
        assert total == pytest.approx(losses.sum(), rel=1e-5)

    def test_smoothing_spreads_over_classes(self, classifier, batch):
        output = classifier(**batch, label_smoothing=0.3)
        log = log_softmax(output.logits)
        losses = -0.7 * log[np.arange(3), batch["labels"]] - 0.3 * log.mean(-1)
        assert output.loss.item() == pytest.approx(losses.mean(), rel=1e-5)

    def test_ignored_labels_take_no_part(self, classifier, batch):
        labels = np.array([1, -100, -100])
        alone = {name: array[:1] for name, array in batch.items()} | {"labels": labels[:1]}
        loss = classifier(**batch | {"labels": labels}).loss.item()
        assert loss == pytest.approx(classifier(**alone).loss.item(), rel=1e-6)
        assert classifier.count_labels({"labels": labels}) == 1

    def test_logits_may_be_left_out(self, classifier, batch):
        assert classifier(**batch, return_logits=False).logits is None
        assert classifier(**batch).logits.shape == (3, CLASSES)


class TestOtherProblems:
    def test_float_labels_mean_several_classes(self, classifier, batch):
        labels = np.array([[1, 0, 1], [0, 0, 1], [0.5, 0, 0]])
        given = batch | {"labels": labels}
        output = classifier(**given)
        x = output.logits.data.astype(np.float64)
        losses = np.log1p(np.exp(x)) - labels * x
        assert output.loss.item() == pytest.approx(losses.mean(), rel=1e-5)
        assert classifier.count_labels(given) == 9
        whole = classifier(**given, num_items_in_batch=9).loss.item()
        assert whole == pytest.approx(output.loss.item(), rel=1e-6)
        weights = np.array([0.5, 2.0, 1.0], np.float32)
        loss = classifier(**given, class_weight=weights).loss.item()
        assert loss == pytest.approx((losses * weights).mean(), rel=1e-5)

    @pytest.mark.parametrize("classes", [1, CLASSES])
    def test_regression_is_the_mean_squared_error(self, batch, rng, classes):
        model = make(
            "bert", "sequence-classification", num_labels=classes, problem_type="regression"
        ).eval()
        labels = rng.standard_normal((3, classes))
        output = model(**batch | {"labels": labels})
        wanted = np.square(output.logits.data - labels).mean()
        assert output.loss.item() == pytest.approx(wanted, rel=1e-5)
        assert model.count_labels({"labels": labels}) == 3 * classes
        if classes == 1:
            assert model(**batch | {"labels": labels[:, 0]}).loss.item() == output.loss.item()

    def test_one_class_without_a_problem_type_is_regression(self, batch):
        model = make("bert", "sequence-classification", num_labels=1).eval()
        output = model(**batch | {"labels": [1, 0, 2]})
        wanted = np.square(output.logits.data[:, 0] - np.array([1, 0, 2])).mean()
        assert output.loss.item() == pytest.approx(wanted, rel=1e-5)

    def test_the_problem_type_decides(self, batch):
        labels = np.array([[1, 0, 1], [0, 0, 1], [0, 1, 0]])
        several = make(
            "bert", "sequence-classification", num_labels=CLASSES,
            problem_type="multi_label_classification",
        ).eval()  # fmt: skip
        assert several(**batch | {"labels": labels}).loss.item() > 0
        one = make(
            "bert", "sequence-classification", num_labels=CLASSES,
            problem_type="single_label_classification",
        ).eval()  # fmt: skip
        with pytest.raises(ShapeError, match=r"labels: got int64 \(3, 3\), expected integers"):
            one(**batch | {"labels": labels})

    def test_options_that_do_nothing_are_errors(self, batch):
        model = make("bert", "sequence-classification", num_labels=1)
        with pytest.raises(ConfigError, match=r"label_smoothing: got 0\.1, regression has none"):
            model(**batch, label_smoothing=0.1)
        with pytest.raises(ConfigError, match="class_weight: regression has no classes"):
            model(**batch, class_weight=[1.0])


class TestTokens:
    def test_loss_is_the_mean_over_labelled_tokens(self, rng):
        model = make("bert", "token-classification", num_labels=CLASSES).eval()
        batch = batch_for("token-classification", rng, CLASSES)
        batch["labels"][0, :3] = -100
        output = model(**batch)
        counted = batch["labels"] != -100
        log = log_softmax(output.logits)[counted]
        losses = -log[np.arange(len(log)), batch["labels"][counted]]
        assert output.loss.item() == pytest.approx(losses.mean(), rel=1e-5)
        assert model.count_labels(batch) == len(losses) == 14
        weights = np.array([0.5, 2.0, 1.0])
        own = weights[batch["labels"][counted]]
        loss = model(**batch, class_weight=weights).loss.item()
        assert loss == pytest.approx((losses * own).sum() / own.sum(), rel=1e-5)
        assert model(**batch, label_smoothing=0.1).loss.item() != output.loss.item()
        assert model(**batch, return_logits=False).logits is None

    def test_labels_at_padding_take_no_part(self, rng):
        model = make("bert", "token-classification", num_labels=CLASSES).eval()
        batch = batch_for("token-classification", rng, CLASSES)
        other = batch | {"labels": np.where(batch["attention_mask"], batch["labels"], 1)}
        assert model(**batch).loss.item() == model(**other).loss.item()
        assert model.count_labels(batch) == model.count_labels(other) == 17


class TestSpans:
    def test_loss_is_the_mean_of_start_and_end(self, rng):
        model = make("bert", "question-answering").eval()
        batch = batch_for("question-answering", rng)
        output = model(**batch)
        lengths = batch["attention_mask"].sum(axis=1)
        total = 0.0
        for logits, name in (
            (output.start_logits, "start_positions"),
            (output.end_logits, "end_positions"),
        ):
            for i, length in enumerate(lengths):
                total -= log_softmax(logits.data[i, :length])[batch[name][i]]
            assert (logits.data[batch["attention_mask"] == 0] < -1e37).all()
        assert output.loss.item() == pytest.approx(total / 6, rel=1e-5)
        assert model.count_labels(batch) == 3
        once = model(**batch, num_items_in_batch=1).loss.item()
        assert once == pytest.approx(total / 2, rel=1e-5)

    def test_positions_outside_of_the_row_take_no_part(self, rng):
        model = make("bert", "question-answering").eval()
        batch = batch_for("question-answering", rng)
        outside = {"start_positions": np.array([7, 1, -1]), "end_positions": np.array([9, 2, -1])}
        kept = {name: array[1:2] for name, array in (batch | outside).items()}
        loss = model(**batch | outside).loss.item()
        assert loss == pytest.approx(model(**kept).loss.item(), rel=1e-6)
        assert model.count_labels(batch | outside) == 1

    def test_half_of_the_labels_is_an_error(self, rng):
        batch = batch_for("question-answering", rng)
        del batch["end_positions"]
        with pytest.raises(ConfigError, match="end_positions: got None"):
            make("bert", "question-answering")(**batch)

    def test_smoothing_is_refused(self, rng):
        batch = batch_for("question-answering", rng)
        with pytest.raises(ConfigError, match=r"label_smoothing: got 0\.1"):
            make("bert", "question-answering")(**batch, label_smoothing=0.1)

    def test_logits_may_be_left_out(self, rng):
        output = make("bert", "question-answering")(
            **batch_for("question-answering", rng), return_logits=False
        )
        assert output.start_logits is None
        assert output.end_logits is None
        assert output.loss.item() > 0


class TestChoices:
    def test_loss_is_the_cross_entropy_of_the_choices(self, rng):
        model = make("bert", "multiple-choice").eval()
        batch = batch_for("multiple-choice", rng)
        output = model(**batch)
        assert output.logits.shape == (3, 2)
        losses = -log_softmax(output.logits)[np.arange(3), batch["labels"]]
        assert output.loss.item() == pytest.approx(losses.mean(), rel=1e-5)
        assert model.count_labels(batch) == 3
        assert model(**batch, label_smoothing=0.1).loss.item() != output.loss.item()
        assert model(**batch, return_logits=False).logits is None

    def test_each_choice_is_read_alone(self, rng):
        model = make("bert", "multiple-choice").eval()
        batch = batch_for("multiple-choice", rng)
        other = batch["input_ids"].copy()
        other[:, 1] = 5
        first, second = (
            model(x, batch["attention_mask"]).logits.data for x in (batch["input_ids"], other)
        )
        assert first[:, 0].tobytes() == second[:, 0].tobytes()
        assert (first[:, 1] != second[:, 1]).all()

    def test_two_axes_are_an_error(self):
        with pytest.raises(
            ShapeError, match=r"input_ids: got shape \(1, 2\), expected \(batch, ch"
        ):
            make("bert", "multiple-choice")([[1, 2]])
