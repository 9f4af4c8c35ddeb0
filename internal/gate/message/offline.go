// SPDX-License-Identifier: Apache-2.0

package message

import (
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
)

// Methods of offline domains. docs/spec/cold.md. One bundle is written at a time, and one result taken in; beginning another ends the one before.
const (
	MethodOfflineList   = "offline-list"   // [Empty] → [OfflineDomains]
	MethodOfflineExport = "offline-export" // [OfflineExport] → [OfflineBundle]
	MethodOfflineNext   = "offline-next"   // [OfflineNext] → [OfflinePart]
	MethodOfflineImport = "offline-import" // [OfflineImport] → [OfflineImported]
)

// OfflineSlice is how much of a bundle or a result one message carries, in bytes.
const OfflineSlice = 4 << 20

// MaxResult is the largest result that is taken in, in bytes.
const MaxResult = 64 << 20

// OfflineDomain is an offline domain as far as its results have told.
type OfflineDomain struct {
	ID       custody.DomainID `cbor:"1,keyasint"`
	Name     string           `cbor:"2,keyasint"`
	Size     uint64           `cbor:"3,keyasint"` // entries of its log that are known
	Knows    uint64           `cbor:"4,keyasint"` // entries of this log that it had imported then
	Number   uint64           `cbor:"5,keyasint"` // of the last bundle; 0: none was made
	Result   uint64           `cbor:"6,keyasint"` // entry of its last result; 0: there is none
	Open     uint64           `cbor:"7,keyasint"` // permits that wait for its signatures
	Busy     bool             `cbor:"8,keyasint"` // a key is on its way there: the next one has to wait for its result
	Zeroized bool             `cbor:"9,keyasint,omitempty"`
	Wallets  []AwayWallet     `cbor:"10,keyasint"`           // whose keys are there, or on their way, by birth
	Gap      uint64           `cbor:"11,keyasint,omitempty"` // entry of the last result that said that it was set back; 0: none did
}

// AwayWallet is a cold wallet.
type AwayWallet struct {
	Wallet custody.WalletID `cbor:"1,keyasint"`
	Way    string           `cbor:"2,keyasint"` // "leaving", "held" or "coming"
	Move   uint64           `cbor:"3,keyasint"` // entry of the latest move

	Missing bool `cbor:"4,keyasint,omitempty"` // the offline domain was set back, and does not have the seed, or can't open it
}

// OfflineDomains lists them in the order in which they were added.
type OfflineDomains struct {
	Domains []OfflineDomain `cbor:"1,keyasint"`
}

// OfflineExport begins a bundle.
type OfflineExport struct {
	Domain string `cbor:"1,keyasint"`           // name or id of the offline domain; empty: the only one
	Full   bool   `cbor:"2,keyasint,omitempty"` // with all entries, also those that it is known to have
}

// OfflineBundle is a bundle that was begun.
type OfflineBundle struct {
	Run      []byte           `cbor:"1,keyasint"` // names it: 16 bytes
	Domain   custody.DomainID `cbor:"2,keyasint"`
	Name     string           `cbor:"3,keyasint"`
	Number   uint64           `cbor:"4,keyasint"`
	From     uint64           `cbor:"5,keyasint"` // first entry in it
	Size     uint64           `cbor:"6,keyasint"` // entries of the log at its checkpoint
	NotAfter int64            `cbor:"7,keyasint"` // Unix seconds: the offline domain takes it no later
	Permits  uint64           `cbor:"8,keyasint"` // that wait for its signatures
	Copies   uint64           `cbor:"9,keyasint"` // sealed seeds that go with it
}

// OfflineNext asks for a part of a bundle, in order. The last part given can be asked for again.
type OfflineNext struct {
	Run    []byte `cbor:"1,keyasint"`
	Offset uint64 `cbor:"2,keyasint"`
}

// OfflinePart is a part of a bundle. Empty: there is no more.
type OfflinePart struct {
	Bytes []byte `cbor:"1,keyasint"`
}

// OfflineImport hands a part of a result in, in order. With its last part it is taken in. The last part can be given again.
type OfflineImport struct {
	Run    []byte `cbor:"1,keyasint"` // 16 bytes, chosen by who hands it in
	Offset uint64 `cbor:"2,keyasint"`
	Bytes  []byte `cbor:"3,keyasint"`
	Last   bool   `cbor:"4,keyasint,omitempty"`
}

// OfflineImported says what a result has brought; all of it is empty before its last part.
type OfflineImported struct {
	Domain   custody.DomainID    `cbor:"1,keyasint"`
	Name     string              `cbor:"2,keyasint"`
	Entry    uint64              `cbor:"3,keyasint"` // that records it
	Size     uint64              `cbor:"4,keyasint"` // entries of its log that are known now
	Signed   []custody.RequestID `cbor:"5,keyasint,omitempty"`
	MovedIn  []custody.WalletID  `cbor:"6,keyasint,omitempty"` // there
	MovedOut []custody.WalletID  `cbor:"7,keyasint,omitempty"` // and back here
	Refused  []OfflineRefusal    `cbor:"8,keyasint,omitempty"`
	Lost     []OfflineLost       `cbor:"9,keyasint,omitempty"`
	SetBack  *OfflineSetBack     `cbor:"10,keyasint,omitempty"` // nil: it was not, since the result before
}

// OfflineSetBack says that the offline domain was restored from a backup that lacked what is known here, and took that back.
type OfflineSetBack struct {
	From    uint64             `cbor:"1,keyasint"`           // entries of its log that the backup had
	To      uint64             `cbor:"2,keyasint"`           // that were known here
	Dropped uint64             `cbor:"3,keyasint,omitempty"` // that the backup had, and that are known otherwise here
	Missing []custody.WalletID `cbor:"4,keyasint,omitempty"` // whose seeds are lost there
	Key     bool               `cbor:"5,keyasint,omitempty"` // its import key is lost too, and is another one now
}

// OfflineLost is something that the offline domain did under an entry that this log has lost: it stands there all the same.
type OfflineLost struct {
	Entry   uint64           `cbor:"1,keyasint"`
	Wallet  custody.WalletID `cbor:"2,keyasint,omitempty"`
	Account string           `cbor:"3,keyasint,omitempty"` // whose nonce a permit used
	Nonce   uint64           `cbor:"4,keyasint,omitempty"`
	Inputs  uint64           `cbor:"5,keyasint,omitempty"` // that a permit used
	TxID    string           `cbor:"6,keyasint,omitempty"` // of what was signed
	Came    bool             `cbor:"7,keyasint,omitempty"` // the wallet's seed came there
	Left    bool             `cbor:"8,keyasint,omitempty"` // or left
}

// OfflineRefusal is something that the offline domain did not do.
type OfflineRefusal struct {
	Entry  uint64       `cbor:"1,keyasint"` // of this log; 0: a bundle as a whole
	Kind   problem.Kind `cbor:"2,keyasint"`
	Detail string       `cbor:"3,keyasint"`
}
