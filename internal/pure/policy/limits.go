// SPDX-License-Identifier: Apache-2.0

package policy

// Limits of a document. A document beyond one of them is refused; together they bound the time of [Document.Check] and of a
// decision, because anybody who may propose a change can make the core check a document.
const (
	MaxDocument       = 1000 << 10 // bytes of the encoding; fits in a request (request.MaxRequest)
	MaxPrincipals     = 2000       // persons and services, revoked ones included
	MaxKeys           = 8          // keys of one principal
	MaxGroups         = 200
	MaxMembers        = 200 // members of one group
	MaxBook           = 5000
	MaxCounterparties = 1000
	MaxGuards         = 1000
	MaxRoutes         = 1000
	MaxCalendars      = 20
	MaxOffsets        = 200 // changes of a calendar's offset from UTC
	MaxLimits         = 200
	MaxObliged        = 200         // obligations
	MaxHours          = 20          // weekly hours of a calendar
	MaxHolidays       = 500         // days of a calendar that are not as the week says
	MaxCharges        = 1000        // that one request takes from limits
	MaxWindow         = 366 * 86400 // seconds of a rolling window
	MaxList           = 100         // values in one field of a match
	MaxBranches       = 8           // branches of a plan
	MaxSteps          = 8           // steps of a branch
	MaxStepMin        = 16          // approvals that one step may ask for
	MaxTitle          = 200         // bytes of a guard's title
	MaxExpr           = 1000        // bytes of an expression
	MaxExprs          = 128         // different expressions in one document
	MaxExprCost       = 20_000      // worst case of one evaluation, in CEL cost units
	MaxUnmet          = 20          // entries of Decision.Unmet
	MaxObserved       = 200         // bytes of one Observed
	MaxBlacklist      = 2000        // blocked addresses
	MaxRamp           = 10          // steps of a ramp
	MaxContracts      = 1000
	MaxAddresses      = 100 // addresses of one contract
	MaxFunctions      = 200 // functions of one contract
	MaxArgTests       = 20  // tests of arguments in one match
	MinTTL            = 60  // shortest life of a request or an approval, seconds
)

// The time-lock of a re-anchoring, in seconds. docs/spec/reanchor.md.
const (
	DefaultReanchorDelay = 72 * 3600
	MinReanchorDelay     = 3600 // in production; evaluation has 0
	MaxReanchorDelay     = 30 * 24 * 3600
)

// maxReview is the longest time between reviews of an entry, in seconds.
const maxReview = 5 * 366 * 86400

// Bounds that the cost of an expression is worked out with.
const (
	maxTries       = 20_000 // decisions that are made to find out whether anybody could change a document
	maxStringChars = 200    // longest string fact, in characters
	exprNesting    = 24     // nested calls in an expression
	exprNodes      = 400    // nodes of its syntax tree, macros written out
)
