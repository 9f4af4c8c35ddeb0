// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"time"

	"strongroom/internal/gate/message"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/problem"
)

// Facts are what is known at a time.
type Facts struct {
	At      time.Time
	Status  *message.Status // nil: the core did not answer
	Meters  *message.Meters // nil: likewise, or a core of an older version
	Log     *Log
	Chains  []apiv1.Chain
	Folders []Folder
	Ends    []End
	Refused map[problem.Kind]uint64 // calls of the API and of the pages that serve answered with a problem
	Lines   map[ServeEvent]uint64
}

// Folder is how full the file system of a folder is.
type Folder struct {
	Name string // "data" or "tiles"
	Free float64
}

// End is when a certificate ends.
type End struct {
	Name string // "authority" or "serve"
	At   time.Time
}

// ServeEvent is something that serve's log tells of.
type ServeEvent string

// serveLines says which event a line of serve's log tells of. A test looks for each warning and error of serve's sources here.
var serveLines = map[string]ServeEvent{
	"messages of the core can't be carried":    "relay_failed",
	"an answer could not be given to the core": "relay_failed",
	"the log can't be followed":                "log_unread",
	"the cache is made anew":                   "cache_made_anew",
	"transfers can't be served":                "transfers_stopped",
	"transfer waits":                           "transfer_waits",
	"nonce gap":                                "nonce_gap",
	"a re-org took a transaction out":          "reorg",
	"somebody else had a replacement signed":   "foreign_replacement",
	"coins are scanned":                        "scan_trouble",
	"page failed":                              "call_failed",
	"call failed":                              "call_failed",
	"metrics can't be collected":               "metrics_failed",
}

// serveEvents are all events, in order.
var serveEvents = []ServeEvent{"cache_made_anew", "call_failed", "error", "foreign_replacement", "log_unread", "metrics_failed", "nonce_gap", "relay_failed", "reorg", "scan_trouble",
	"transfer_waits", "transfers_stopped", "warning"}
