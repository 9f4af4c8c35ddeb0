// SPDX-License-Identifier: Apache-2.0

// Package gate is the door: the only way between the process that holds keys and everything else. It carries requests and replies as
// canonical CBOR frames, many at a time, over a Unix stream socket; docs/spec/door-frame.md is the format.
//
// It refuses peers whose user id is not listed, other protocol versions, frames that are too large, not canonical, out of order or of
// another shape, and a socket that others could replace. It knows nothing of what the bodies mean: a [Mux] decodes them strictly and
// hands them to functions. A failure crosses as a [problem.Error] without its cause; any other error, and a panic, crosses as kind
// internal with an incident id that finds the line in the log.
//
// A reply that is lost does not tell whether the act happened. [ClosedError] says so, and the answer is to ask again with the same
// idempotency key. A caller that stops waiting does not stop the act either: nothing a caller does cancels an act that was sent. Only
// methods that just wait and read end with their connection.
package gate
