// SPDX-License-Identifier: Apache-2.0

package grep11

// Budget is the budget, for tests.
type Budget struct{ b *budget }

// NewBudget makes one.
func NewBudget(most, each int) Budget { return Budget{newBudget(most, each)} }

// Take takes room.
func (b Budget) Take(who string) bool { return b.b.take(who, 1) }

// Give gives it back.
func (b Budget) Give(who string) { b.b.give(who, 1) }
