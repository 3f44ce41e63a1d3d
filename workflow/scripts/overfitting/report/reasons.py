"""Why a claim may hold, or may not: one sentence for each verdict, with its source.

Nothing in this project measures these reasons. Each is an explanation from the literature that fits
the verdict.
"""

from dataclasses import dataclass

from overfitting.analysis.findings import INCONCLUSIVE, SUPPORTED, Claim

SRIVASTAVA = "[Srivastava et al. 2014](https://jmlr.org/papers/v15/srivastava14a.html)"
MINTUN = "[Mintun et al. 2021](https://arxiv.org/abs/2102.11273)"
MILLER = "[Miller et al. 2021](https://arxiv.org/abs/2107.04649)"
NAKKIRAN = "[Nakkiran et al. 2019](https://arxiv.org/abs/1912.02292)"
GUO = "[Guo et al. 2017](https://arxiv.org/abs/1706.04599)"
LANGFORD = "[Langford 2005](https://jmlr.org/papers/v6/langford05a.html)"
PRECHELT = "[Prechelt 1998](https://doi.org/10.1007/3-540-49430-8_3)"
GONTIJO_LOPES = "[Gontijo-Lopes et al. 2020](https://arxiv.org/abs/2002.08973)"


@dataclass(frozen=True)
class Reason:
    """Why a claim may be so."""

    supported: str
    """A sentence for a claim that is supported."""
    otherwise: str
    """A sentence for a claim that is not supported, or that depends on something."""


REASONS = {
    "1": Reason(
        "A network with more parameters than training images can learn even random labels by "
        "heart ([Zhang et al. 2017](https://arxiv.org/abs/1611.03530)); the one here has 225,034 "
        "parameters.",
        "The fewer steps a network is trained for, the less it can come to depend on single "
        "images ([Hardt et al. 2016](https://arxiv.org/abs/1509.01240)).",
    ),
    "2": Reason(
        "Dropout keeps units from adapting to each other in ways that fit the training images "
        f"alone ({SRIVASTAVA}), and augmentation never shows the same image twice.",
        "Regularizers are not what decides whether a network generalizes: with and without them, "
        "the gap can be much the same ([Zhang et al. 2017](https://arxiv.org/abs/1611.03530)).",
    ),
    "3": Reason(
        "What dropout takes from a network in training, it gives back in inference, as an average "
        f"of many thinned networks ({SRIVASTAVA}).",
        f"Dropout makes training two to three times as long ({SRIVASTAVA}), and both models are "
        "trained for the same number of epochs.",
    ),
    "4": Reason(
        "Noise in training can make a network robust to corruptions that it never met "
        "([Rusak et al. 2020](https://arxiv.org/abs/2001.06057)).",
        f"Augmentation helps with corruptions that resemble it, and less with others ({MINTUN}).",
    ),
    "5": Reason(
        f"Dropout averages over many thinned networks ({SRIVASTAVA}), and averages of networks "
        "hold up better when images shift ([Ovadia et al. 2019](https://arxiv.org/abs/1906.02530)).",
        "The accuracy on shifted images follows that on clean ones, whatever the gap "
        f"({MILLER}), and what helps beyond that is augmentation that resembles the shift "
        f"({MINTUN}).",
    ),
    "6": Reason(
        f"Dropout makes training two to three times as long ({SRIVASTAVA}), so at 15 epochs only "
        "the model without it has converged.",
        "Test accuracy need not stop rising when a network begins to overfit: it can fall and "
        f"then rise again as training goes on ({NAKKIRAN}).",
    ),
    "7a": Reason(
        "A network that already classifies its training images correctly can lower its loss only "
        f"by becoming more confident ({GUO}), and regularizers keep it from getting there.",
        "How well a network is calibrated depends on more than how it is regularized, above all "
        "on its architecture ([Minderer et al. 2021](https://arxiv.org/abs/2106.07998)).",
    ),
    "7b": Reason(
        "The accuracy on images that took no part in training is an unbiased estimate for every "
        f"model, whatever its gap, so the distances are chance for both ({LANGFORD}).",
        "The accuracy on a few thousand images is within a point or two of the true one, by "
        f"chance and for every model ({LANGFORD}).",
    ),
    "7c": Reason(
        f"An overconfident network pays in the log-likelihood for every confident error ({GUO}).",
        "Proper scores reward calibration and the power to tell classes apart, so a model that is "
        "better calibrated but less accurate can score worse "
        "([Bröcker 2009](https://arxiv.org/abs/0806.0813)).",
    ),
    "8": Reason(
        "In a linear model, dropout is a penalty on the weights that grows with its rate "
        "([Wager et al. 2013](https://arxiv.org/abs/1307.1493)).",
        "The rate also slows training down "
        f"({SRIVASTAVA}), so that a lighter one can raise training and test accuracy together.",
    ),
    "9": Reason(
        "The slower a network learns, the later its validation loss rises; dropout makes training "
        f"two to three times as long ({SRIVASTAVA}).",
        "A validation loss has many small minima on its way down, and a short patience stops at "
        f"one of the first ({PRECHELT}).",
    ),
    "10": Reason(
        "Normalization allows larger steps, and its batches add noise "
        "([Ioffe & Szegedy 2015](https://arxiv.org/abs/1502.03167)).",
        "Most of what normalization gains comes from the larger learning rates that it allows "
        "([Bjorck et al. 2018](https://arxiv.org/abs/1806.02375)), and here the rate is the same.",
    ),
    "11": Reason(
        "The error on new images falls as a power of the number of training images "
        "([Hestness et al. 2017](https://arxiv.org/abs/1712.00409)), and fewer images are easier "
        "to learn by heart.",
        f"There are sizes at which more images do not help a network at all ({NAKKIRAN}).",
    ),
    "12": Reason(
        "A network that fits what single images have in common with their label by chance loses "
        "it when images shift ([Geirhos et al. 2020](https://arxiv.org/abs/2004.07780)).",
        "For many kinds of models, the accuracy on shifted images follows that on clean ones "
        f"({MILLER}), which a gap says nothing about.",
    ),
    "13": Reason(
        "An augmentation costs accuracy if its images are unlike those that the model is tested "
        f"on ({GONTIJO_LOPES}).",
        "An augmentation whose images never occur can still help, as it makes the training "
        f"images more diverse ({GONTIJO_LOPES}).",
    ),
}
"""By the number of a claim."""


def why(claim: Claim) -> str:
    """Return why a claim may have come out so; both reasons if it is inconclusive.

    Empty if the claim has no verdict.
    """
    judged = next((each.model for each in claim.findings if each.verdict), None)
    if judged is None:
        return ""
    verdict, reason = claim.verdict_on(judged), REASONS[claim.number]
    if verdict.startswith(INCONCLUSIVE):
        return f"Why it may hold: {reason.supported} Why it may not: {reason.otherwise}"
    return f"Why it may be so: {reason.supported if verdict == SUPPORTED else reason.otherwise}"
