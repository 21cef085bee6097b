"""The gradient of one step: of the whole batch at once, in parts that fit into memory, or of this process's share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from accelerate import Accelerator
from torch import Tensor

from mmkg.memory import portion, ran_out, tell
from mmkg.samplers.share import Share
from mmkg.training.processes import Processes, RanOutElsewhere
from mmkg.training.questions import Asked, Question, Questions, Whole
from mmkg.training.step import StepLoss

PLAIN = ("sampler", "regulariser")
"""Parts of the loss that are means over triples whatever their weights."""


class Gradients:
    r"""Fills ``grad`` of all parameters with the gradient of a step's loss.

    A batch is divided into ``processes x parts`` runs of rows, of which each process takes its own one after the other:

    .. math:: \nabla L = \sum_p \frac{\Omega_p}{\sum_q \Omega_q} \nabla L_p,

    with :math:`\Omega_p` the weights of a run's triples, each side for itself; the sampler's own loss and the
    regulariser, which know no weights, count by numbers of triples. Where the sampler can
    (:attr:`mmkg.samplers.NegativeSampler.draws_for`), each run draws as for the whole batch and takes its rows, so that
    the negatives are those of one process and one part. Others draw for each run; then results are as good and not the
    same.

    Each process works out the gradient of its own runs; then all say whether memory sufficed, and only then do they
    exchange gradients, by DistributedDataParallel. Where memory ran out in one, all ask their samplers to compute in
    smaller portions, and where that is not enough, divide the batch into twice as many parts; the step is done anew,
    and all later ones that way. A sampler that divides a pool has the processes meet within the step, too, before each
    exchange; where one of them fails, the others learn of it there.

    Args:
        loss: Of the step.
        accelerator: Device and precision.
        processes: Who else trains this model.
        questions: Where the questions come from; plans parts anew.
        modules: What is trained, by name.
    """

    def __init__(
        self,
        loss: StepLoss,
        accelerator: Accelerator,
        processes: Processes,
        questions: Questions,
        modules: dict[str, torch.nn.Module],
    ) -> None:
        self.loss, self.accelerator, self.processes, self.questions = loss, accelerator, processes, questions
        self.modules, self.parts = modules, 1
        self.exchange = None if processes.count == 1 else processes.wrap(_Exchange(modules))

    def __call__(self, asked: Asked, step: int) -> dict[str, Tensor]:
        """The parts of the loss by name, scalars without gradient, of the whole batch.

        Args:
            asked: Questions about the whole batch, the same in every process.
            step: Steps done before.

        Raises:
            OutOfMemory: If not even one triple fits.
        """
        generators = {id(g): g for g in (self.loss.generator, self.questions.generator)}.values()
        before = [(g, g.get_state()) for g in generators]
        while True:
            told, agreed, found = None, False, {}
            try:
                found = self._whole(asked, step)
            except (MemoryError, RuntimeError) as error:
                if not ran_out(error):
                    raise
                told = str(error)  # and out of here, for the error holds on to all that was being computed
                agreed = isinstance(error, RanOutElsewhere)
            if not agreed and not self.processes.any(told is not None):
                break
            for module in self.modules.values():
                module.zero_grad()
            for generator, state in before:
                generator.set_state(state)
            self._shrink(asked, "in another process" if told is None else told)
        if self.exchange is None:
            return found
        try:
            self.exchange().backward()
        except (MemoryError, RuntimeError) as error:
            if not ran_out(error):
                raise
            told = str(error)
        if told is not None:  # some gradients are means already: nothing can be done anew
            tell("the exchange of gradients", told, None)
        sampler = self.loss.sampler
        if sampler is not None:
            self.processes.average([sampler.get_buffer(name) for name in sampler.averaged])
        return self.processes.sum(found)

    def _shrink(self, asked: Asked, told: str) -> None:
        chosen = None if self.loss.sampler is None else self.loss.sampler.shrink()
        if chosen is None and self.parts < max(len(q.batch) for questions in asked for q in questions):
            self.parts *= 2
            chosen = f"the batch in {self.parts} parts"
        tell("training", told, chosen)

    def _whole(self, asked: Asked, step: int) -> dict[str, Tensor]:
        if self.parts == self.processes.count == 1:
            with self.accelerator.autocast():
                parts = self.loss(asked, step)
                total = sum(parts.values())
            self.accelerator.backward(total)
            return {name: part.detach() for name, part in parts.items()}
        found: dict[str, Tensor] = {}
        # one after the other: what a piece draws from depends on what those before have drawn
        for weighted, plain, piece in (piece for questions in asked for piece in self._pieces(questions)):
            with self.accelerator.autocast():
                parts = self.loss([[piece]], step)
                parts = {name: (plain if name in PLAIN else weighted) * part for name, part in parts.items()}
            self.accelerator.backward(sum(parts.values()) * self.processes.count)  # of which gradients are the mean
            for name, part in parts.items():
                found[name] = found.get(name, 0.0) + part.detach()
        return found

    def _pieces(self, questions: Sequence[Question]) -> Iterator[tuple[float, float, Question]]:
        """This process's runs of one side's questions; draw from each before the next.

        Each comes with its share of means over weighted triples, and that of plain means.
        """
        total = sum(_weight(question) for question in questions)
        each, number, sampler = self.processes.count, self.processes.number, self.loss.sampler
        way = None if sampler is None else sampler.draws_for
        for question in questions:
            size, whole = len(question.batch), Whole(question.batch)
            state = self.loss.generator.get_state()
            for turn in range(self.parts):
                runs = [_run(size, process * self.parts + turn, self.parts * each) for process in range(each)]
                rows, share = runs[number]
                part = replace(question, batch=question.batch.rows(rows), plan=None)
                weighted = share * _weight(part) / total
                plain = share * len(part.batch) / size * _weight(question) / total
                if way is not None:
                    if way != "whole" and turn > 0:
                        self.loss.generator.set_state(state)
                    part = replace(part, plan=question.plan, of=(whole, rows))
                    if way == "ranges" and each > 1:
                        part.share = Share([rows for rows, _ in runs], number, self.processes.trade)
                elif question.plan is not None:
                    part = self.questions.planned(part)
                yield weighted, plain, part


class _Exchange(torch.nn.Module):
    """All that is trained as one module, which is what DistributedDataParallel wraps; computes nothing.

    Its output's gradient adds nothing to those that there are, of which DistributedDataParallel then takes the means.
    """

    def __init__(self, modules: dict[str, torch.nn.Module]) -> None:
        super().__init__()
        self.trained = torch.nn.ModuleDict(modules)

    def forward(self) -> Tensor:
        return _Meet.apply(*(p for p in self.parameters() if p.grad is not None))


class _Meet(torch.autograd.Function):
    """A zero that depends on parameters, with no gradient for any."""

    @staticmethod
    def forward(ctx, *parameters):
        ctx.count = len(parameters)
        return parameters[0].new_zeros(())

    @staticmethod
    def backward(ctx, _):
        return (None,) * ctx.count


def _run(size: int, run: int, count: int) -> tuple[slice, float]:
    """Rows of one of ``count`` runs through a batch, and 1; or 0 with a row that is to count nothing.

    That is where triples are fewer than runs, so that all processes keep step.
    """
    rows = portion(size, run, count)
    return (rows, 1.0) if rows.start < rows.stop else (slice(0, 1), 0.0)


def _weight(question: Question) -> float:
    weight = question.batch.weight
    return float(len(question.batch)) if weight is None else float(weight.double().sum())
