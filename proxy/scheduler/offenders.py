"""Requests that made their neighbours fail, remembered so that a repeat runs alone; and keys that keep sending them.

Inputs that surely ended two instances (proxy.scheduler.culprits) are not run again while they are remembered; what is
answered right, alone, is forgotten.
Rules: a request is known by a digest of its inputs, not by who sent it; at most `MOST_KNOWN` are remembered, for
`REMEMBERED_NS`; nothing is digested while none is known, and then only of requests whose first bytes and shapes match.
Only what was found among other keys' requests, or cost an instance that others could have used, counts against its
key: who fails alone, or among its own, or while the version answers nobody, harms nobody else. A key is refused for
`REFUSED_NS` after `OFFENCES` such requests within `OFFENCE_WINDOW_NS`, if they are at least `OFFENCE_RATIO` of what it
sent. Memory for keys is bounded, too.
Source: ATTACKS F4; a penalty that ends by itself, as the ejection of Envoy's outlier detection does.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from hashlib import blake2b

from proxy.core.requests import InferenceRequest
from proxy.core.units import NS_PER_S
from proxy.scheduler.culprits import TRIAL_NS, Trials, is_culprit

# Larger: more memory (about 200 bytes each), fewer culprits forgotten under an attack.
MOST_KNOWN = 1_024
MOST_KEYS = 1_024
# Longer: repeats run alone for longer, also after the model was mended within the same version.
REMEMBERED_NS = 600 * NS_PER_S
# A key is refused if it had so many offences, and these are so large a part of its requests since the first of them.
# Smaller: honest clients with some bad rows are refused, too; larger: neighbours pay for more bisections.
OFFENCES = 8
OFFENCE_RATIO = 0.05
OFFENCE_WINDOW_NS = 60 * NS_PER_S
# Longer: a client with a fault of its own waits longer after it was mended.
REFUSED_NS = 30 * NS_PER_S
# Bytes of each input that are compared before anything is digested.
SAMPLE_BYTES = 32

Sample = tuple[Hashable, ...]


class _Key:
    __slots__ = ("offences", "refused_until_ns", "requests", "since_ns")

    def __init__(self, now_ns: int) -> None:
        self.offences = 0
        self.requests = 1
        self.since_ns = now_ns
        self.refused_until_ns = 0


class Offenders:
    """What one lane remembers."""

    __slots__ = (
        "_accused",
        "_explained_at",
        "_keys",
        "_killers",
        "_known",
        "_samples",
        "are_charged",
        "are_known",
        "trials",
    )

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, tuple[int, Sample]] = OrderedDict()
        self._killers: dict[bytes, tuple[int, int]] = {}  # when found, and results between its first loss and then
        self._accused: dict[bytes, int] = {}  # ended an instance alone; results of the lane at its first loss
        self._explained_at = 0  # executions of the lane when a loss was last explained
        self._samples: dict[Sample, int] = {}
        self._keys: OrderedDict[str, _Key] = OrderedDict()
        self.are_known = False  # plain flags: asked for each request
        self.are_charged = False
        self.trials = Trials()

    def found(self, request: InferenceRequest, now_ns: int, *, harmed_others: bool) -> None:
        """`request` is the one that made its execution fail."""
        self._remember(fingerprint(request), sample_of(request), now_ns)
        if harmed_others:
            self._charge(request.principal_id, now_ns)

    def untried(self, request: InferenceRequest, now_ns: int, crashed_at: int | None) -> None:
        """`request` was in an execution that failed, and is not run again now: it runs alone when it comes again.

        `crashed_at`: executions with results that the lane had when the instance crashed; None: it did not crash.
        """
        digest = fingerprint(request)
        self._remember(digest, sample_of(request), now_ns)
        if crashed_at is not None:
            self._accused.setdefault(digest, crashed_at)

    def ended(
        self, request: InferenceRequest, now_ns: int, *, crashes: int, results_then: int, results: int, is_proven: bool
    ) -> bool:
        """An instance crashed that ran `request` alone; True if its inputs are surely to blame, and not run any more.

        `crashes` are those of this request, this one included; `results_then` the executions with results that the lane
        had at the first of them, `results` those that it has now; `is_proven`: the instance had given some.
        """
        digest = fingerprint(request)
        self.trials.died(digest, now_ns)
        first = self._accused.get(digest)
        is_second = crashes > 1 or first is not None
        first = results_then if first is None else min(first, results_then)
        self._remember(digest, sample_of(request), now_ns)
        self._accused[digest] = first
        answered = results - first if is_proven else 0
        if is_second and answered > 0:
            self._charge(request.principal_id, now_ns)
        is_sure = is_second and is_culprit(answered, *self.trials.of_others(digest, now_ns))
        if is_sure:
            self._killers[digest] = (now_ns, answered)
        self._judge_again(now_ns)
        return is_sure

    def answered(self, request: InferenceRequest, now_ns: int, *, is_suspect: bool) -> None:
        """`request` ran alone and was answered: nothing is held against its inputs any more."""
        is_known = self.are_known and self.is_known(request, now_ns)
        if is_suspect or is_known:
            self.trials.right(now_ns)
        if is_known:
            self._forget(fingerprint(request))

    def is_known(self, request: InferenceRequest, now_ns: int) -> bool:
        """True if these inputs made an execution fail lately."""
        while self._known and (oldest := next(iter(self._known.items())))[1][0] <= now_ns:
            self._forget(oldest[0])
        return sample_of(request) in self._samples and fingerprint(request) in self._known

    @property
    def are_killers_known(self) -> bool:
        """True if any inputs are not to be run at all."""
        return bool(self._killers)

    def explain(self, executions: int) -> bool:
        """An instance was ended by one request. True if the lane had results since the last time: the model works."""
        works = executions > self._explained_at
        self._explained_at = executions
        return works

    def killer_until_ns(self, request: InferenceRequest, now_ns: int) -> int:
        """Until when these inputs are not run, since they ended two instances; 0: they may run."""
        if not self.is_known(request, now_ns):
            return 0
        digest = fingerprint(request)
        return self._known[digest][0] if digest in self._killers else 0

    def _judge_again(self, now_ns: int) -> None:
        """Those who were blamed lately: what others did since may speak for them."""
        for digest, (found_ns, answered) in tuple(self._killers.items()):
            if now_ns - found_ns < TRIAL_NS and not is_culprit(answered, *self.trials.of_others(digest, now_ns)):
                del self._killers[digest]

    def _remember(self, digest: bytes, sample: Sample, now_ns: int) -> None:
        if self._known.pop(digest, None) is None:
            self._samples[sample] = self._samples.get(sample, 0) + 1
        self._known[digest] = (now_ns + REMEMBERED_NS, sample)
        self.are_known = True
        while len(self._known) > MOST_KNOWN:  # who surely ends instances is forgotten last
            harmless = (one for one in self._known if one not in self._killers and one != digest)
            self._forget(next(harmless, next(iter(self._known))))

    def refused_until_ns(self, key: str, now_ns: int) -> int:
        """Until when `key` is refused, 0 if it is not. Asked once for each request while any key has an offence."""
        record = self._keys.get(key)
        if record is None:
            return 0
        record.requests += 1
        if record.refused_until_ns > now_ns:
            return record.refused_until_ns
        if record.refused_until_ns or now_ns - record.since_ns >= OFFENCE_WINDOW_NS:
            del self._keys[key]
            self.are_charged = bool(self._keys)
        return 0

    def _charge(self, key: str, now_ns: int) -> None:
        record = self._keys.get(key)
        if record is None or now_ns - record.since_ns >= OFFENCE_WINDOW_NS:
            record = self._keys[key] = _Key(now_ns)
        self._keys.move_to_end(key)
        self.are_charged = True
        record.offences += 1
        if record.offences >= OFFENCES and record.offences >= OFFENCE_RATIO * record.requests:
            record.refused_until_ns = now_ns + REFUSED_NS
        while len(self._keys) > MOST_KEYS:
            self._keys.popitem(last=False)

    def _forget(self, digest: bytes) -> None:
        _, sample = self._known.pop(digest)
        self._killers.pop(digest, None)
        self._accused.pop(digest, None)
        left = self._samples[sample] - 1
        if left:
            self._samples[sample] = left
        else:
            del self._samples[sample]
        self.are_known = bool(self._known)


def sample_of(request: InferenceRequest) -> Sample:
    """Shapes and first bytes of the inputs: equal where the inputs are."""
    return tuple((tensor.shape, bytes(tensor.data[:SAMPLE_BYTES])) for tensor in request.inputs)


def fingerprint(request: InferenceRequest) -> bytes:
    """128 bits of the inputs' names, types, shapes and bytes."""
    digest = blake2b(digest_size=16)
    for tensor in request.inputs:
        digest.update(repr((tensor.name, tensor.datatype, tensor.shape, len(tensor.data))).encode())
        digest.update(tensor.data)
    return digest.digest()
