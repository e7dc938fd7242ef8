"""The memory of SAGA: what it stores of each row between visits."""

import numpy as np

from fastgd.problem.records import Record


class RowMemory(Record):
    """Margins, slopes of the loss and |x|^2 (with the intercept's 1) of each row at its last visit.

    `total` is the sum of slope x', as the flat vector of parameters; `radius` is how far a row's
    margins moved between its visits. Margins and slopes are flat, `outputs` numbers a row.
    """

    margins: np.ndarray
    slopes: np.ndarray
    squared_norms: np.ndarray
    total: np.ndarray
    radius: np.ndarray

    @classmethod
    def empty(cls, rows, outputs, parameters):
        """The memory before the first visit."""
        return cls(*(np.zeros(n) for n in (rows * outputs, rows * outputs, rows, parameters, rows)))

    @property
    def arrays(self):
        """The memory as the kernels take it; they change it in place."""
        return self.margins, self.slopes, self.squared_norms, self.total, self.radius

    def forget(self):
        """Start again from nothing, but for the radius."""
        for part in self.arrays[:-1]:
            part[:] = 0

    def margins_of(self, rows):
        """(rows, outputs) margins."""
        return self.margins.reshape(len(self.radius), -1)[rows]

    def slopes_of(self, rows):
        """(rows, outputs) slopes of the losses, times the rows' weights."""
        return self.slopes.reshape(len(self.radius), -1)[rows]

    @property
    def divisors(self):
        """|x|^2 of each row; 1 for an empty row, which is not divided."""
        return np.where(self.squared_norms > 0, self.squared_norms, 1.0)
