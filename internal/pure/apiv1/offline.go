// SPDX-License-Identifier: Apache-2.0

package apiv1

import (
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
)

// OfflineDomain is an offline domain as far as its results have told.
type OfflineDomain struct {
	ID       string       `json:"id" doc:"64 hex digits"`
	Name     string       `json:"name"`
	Size     uint64       `json:"size" doc:"entries of its log that are known"`
	Knows    uint64       `json:"knows" doc:"entries of this domain's log that it had imported then"`
	Number   uint64       `json:"number" doc:"of the last bundle; 0: none was made"`
	Result   uint64       `json:"result" doc:"entry of its last result; 0: there is none"`
	Open     uint64       `json:"open" doc:"permits that wait for its signatures"`
	Busy     bool         `json:"busy" doc:"a key is on its way there: the next one has to wait for its result"`
	Zeroized bool         `json:"zeroized"`
	Wallets  []AwayWallet `json:"wallets" doc:"whose keys are there, or on their way"`
	Gap      uint64       `json:"gap,omitempty" doc:"entry of the last result that said that it was set back; left out: none did"`
}

// AwayWallet is a cold wallet.
type AwayWallet struct {
	Wallet custody.WalletID `json:"wallet"`
	Way    string           `json:"way" doc:"leaving, held or coming"`
	Move   uint64           `json:"move" doc:"entry of the latest move"`

	Missing bool `json:"missing,omitempty" doc:"the offline domain was set back, and does not have the seed, or can't open it"`
}

// OfflineDomainList lists offline domains.
type OfflineDomainList struct {
	Domains []OfflineDomain `json:"domains"`
}

// OfflineBundleIn asks for a bundle.
type OfflineBundleIn struct {
	Domain string `json:"domain,omitempty" doc:"name or id of the offline domain; left out: the only one"`
	Full   bool   `json:"full,omitempty" doc:"with all entries, also those that it is known to have"`
}

// OfflineBundle is a bundle that is being written; its parts are read one after the other.
type OfflineBundle struct {
	Run      string `json:"run" doc:"names it: 32 hex digits"`
	Domain   string `json:"domain" doc:"id of the offline domain"`
	Name     string `json:"name"`
	Number   uint64 `json:"number"`
	From     uint64 `json:"from" doc:"first entry in it"`
	Size     uint64 `json:"size" doc:"entries of the log at its checkpoint"`
	NotAfter int64  `json:"notAfter" doc:"Unix seconds: the offline domain takes it no later"`
	Permits  uint64 `json:"permits" doc:"that wait for its signatures"`
	Copies   uint64 `json:"copies" doc:"sealed keys that go with it"`
}

// OfflineResultIn hands a part of a result in, in order.
type OfflineResultIn struct {
	Run    string `json:"run" doc:"32 hex digits of the caller's choice, the same for all parts"`
	Offset uint64 `json:"offset"`
	Bytes  []byte `json:"bytes" doc:"at most 256 KiB"`
	Last   bool   `json:"last,omitempty" doc:"with the last part the result is taken in"`
}

// MaxResultPart is how much of a result one call carries, in bytes.
const MaxResultPart = 256 << 10

// OfflineResult says what a result has brought; all of it is empty before its last part.
type OfflineResult struct {
	Domain   string             `json:"domain"`
	Name     string             `json:"name"`
	Entry    uint64             `json:"entry" doc:"that records it"`
	Size     uint64             `json:"size" doc:"entries of its log that are known now"`
	Signed   []string           `json:"signed" doc:"requests"`
	MovedIn  []custody.WalletID `json:"movedIn" doc:"there"`
	MovedOut []custody.WalletID `json:"movedOut" doc:"and back here"`
	Refused  []OfflineRefusal   `json:"refused"`
	Lost     []OfflineLost      `json:"lost,omitempty" doc:"what it did under entries that this domain's log has lost"`
	SetBack  *OfflineSetBack    `json:"setBack,omitempty" doc:"left out: it was not set back since the result before"`
}

// OfflineSetBack says that the offline domain was restored from a backup that lacked what is known here, and took that back.
type OfflineSetBack struct {
	From    uint64             `json:"from" doc:"entries of its log that the backup had"`
	To      uint64             `json:"to" doc:"entries that were known here"`
	Dropped uint64             `json:"dropped,omitempty" doc:"entries of the backup that are known otherwise here"`
	Missing []custody.WalletID `json:"missing,omitempty" doc:"whose seeds are lost there"`
	Key     bool               `json:"importKeyLost,omitempty" doc:"its import key is lost too, and is another one now"`
}

// OfflineLost is something that an offline domain did under an entry that this domain's log has lost: it stands there all the same.
type OfflineLost struct {
	Entry   uint64           `json:"entry" doc:"of the log before it was re-anchored"`
	Wallet  custody.WalletID `json:"wallet,omitempty"`
	Account string           `json:"account,omitempty" doc:"whose nonce was used"`
	Nonce   uint64           `json:"nonce,omitempty"`
	Inputs  uint64           `json:"inputs,omitempty" doc:"so many were used"`
	TxID    string           `json:"txid,omitempty" doc:"of the transaction that was signed"`
	Came    bool             `json:"came,omitempty" doc:"the wallet's key came there"`
	Left    bool             `json:"left,omitempty" doc:"the wallet's key left there"`
}

// OfflineRefusal is something that the offline domain did not do.
type OfflineRefusal struct {
	Entry  uint64       `json:"entry" doc:"of this domain's log; 0: a bundle as a whole"`
	Kind   problem.Kind `json:"kind"`
	Detail string       `json:"detail"`
}

// Away says where the key of a cold wallet is.
type Away struct {
	Domain string `json:"domain" doc:"id of the offline domain"`
	Name   string `json:"name"`
	Way    string `json:"way" doc:"leaving, held or coming"`
	Move   uint64 `json:"move" doc:"entry of the latest move"`
}
