// SPDX-License-Identifier: Apache-2.0

package apiv1

import (
	"encoding/json"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/simulation"
)

// Health is the reply of GET /healthz.
type Health struct {
	Status string `json:"status" doc:"ok: serve answers and reaches the core; degraded: it does not reach the core"`
}

// Status is how core and serve are.
type Status struct {
	Profile      custody.Profile  `json:"profile"`
	Authority    string           `json:"authority"`
	Domain       string           `json:"domain"`
	Origin       string           `json:"origin" doc:"origin line of checkpoints"`
	LogKey       custody.HexBytes `json:"logKey" doc:"Ed25519 public key that signs checkpoints"`
	Identity     custody.HexBytes `json:"identity" doc:"Ed25519 public key that signs receipts and session grants"`
	Size         uint64           `json:"size" doc:"entries of the log"`
	Pinned       uint64           `json:"pinned" doc:"entries below the pin"`
	Writer       uint64           `json:"writer"`
	Root         string           `json:"root" doc:"root of trust"`
	Anchor       string           `json:"anchor"`
	MemoryLocked bool             `json:"memoryLocked"`
	Notes        []string         `json:"notes"`
	KeysUnlocked uint64           `json:"keysUnlocked"`
	Wallets      uint64           `json:"wallets"`
	Pending      uint64           `json:"pending"`
	Signed       uint64           `json:"signed"`
	Sessions     uint64           `json:"sessions"`
	WarmWallets  uint64           `json:"warmWallets"`
	WarmSessions uint64           `json:"warmSessions" doc:"open sessions of warm wallets"`
	Grants       uint64           `json:"appGrants" doc:"grants to applications"`
	RevokedKeys  uint64           `json:"appKeysRevoked" doc:"keys of applications that are revoked"`
	Uses         uint64           `json:"appUses" doc:"uses of keys of applications, accounted since the core's start"`
	ReadyPairs   uint64           `json:"appPairsReady" doc:"RSA pairs that are made beforehand"`
	MissingKeys  uint64           `json:"tokenKeysMissing" doc:"keys of wallets of class token that are not in the token"`
	Policy       uint64           `json:"policyVersion"`
	PolicyHash   string           `json:"policyHash"`
	Time         string           `json:"time" doc:"the core's clock"`
	Bound        int64            `json:"timeBoundNanos" doc:"the true time is within time plus or minus this"`
	TimeCertain  bool             `json:"timeCertain"`
	Clock        string           `json:"clock" doc:"authenticated: of a majority of authenticated sources; system: the machine's own"`
	TimeSources  []string         `json:"timeSources" doc:"on which an authenticated time rests"`
	Failed       string           `json:"failed,omitempty" doc:"why nothing is decided any more"`
	Check        Check            `json:"check"`
	Appends      uint64           `json:"logAppends"`
	Batches      uint64           `json:"logBatches"`
	Pins         uint64           `json:"logPins"`
	Cache        Cache            `json:"cache"`
	Chains       []Chain          `json:"chains"`
	Life         Life             `json:"life" doc:"where the domain stands in its life cycle"`

	Incarnation uint64       `json:"incarnation" doc:"of the log: one more with each re-anchoring"`
	Reanchoring *Reanchoring `json:"reanchoring,omitempty" doc:"a re-anchoring whose time-lock runs, or that was cancelled"`
	GapAt       string       `json:"gapAt,omitempty" doc:"when entries of the log may have been lost the last time"`
	Held        uint64       `json:"heldWallets" doc:"wallets that sign nothing before they are reconciled"`

	Mode     Mode   `json:"mode" doc:"operational state"`
	OnHold   uint64 `json:"heldRequests" doc:"requests that somebody holds"`
	NoPrices uint64 `json:"noPrices" doc:"pairs of the rules that have no value now"`
	PriceAge uint64 `json:"priceAge" doc:"of the oldest quote in use, seconds"`

	Screening []ScreeningView `json:"screening,omitempty" doc:"sources of screening of the rules"`

	Degraded []string `json:"degraded" doc:"what the domain goes on without: clock, nodes, core; empty where all is there"`

	Checkpoint []byte `json:"checkpoint,omitempty" doc:"latest pinned checkpoint of the log: a signed note"`
}

// Reanchoring is a re-anchoring that is not over.
type Reanchoring struct {
	Entry     uint64 `json:"entry"`
	Until     string `json:"until" doc:"before that nothing is done but what takes power away"`
	From      uint64 `json:"lostFrom" doc:"the first entry that is lost, where some are"`
	To        uint64 `json:"lostTo" doc:"so many entries the log had for certain; as lostFrom where none is known to be lost"`
	Whole     bool   `json:"whole" doc:"log witnesses have confirmed that nothing is lost"`
	Cancelled bool   `json:"cancelled"`
}

// Life is where a domain stands in its life cycle.
type Life struct {
	Phase          string             `json:"phase" doc:"operational or zeroized"`
	Counter        uint64             `json:"counter" doc:"an operation on the life cycle names one more"`
	Allowed        points.Set         `json:"allowed" doc:"control points that are on"`
	Frozen         points.Set         `json:"frozen" doc:"control points that never change again"`
	Epoch          uint64             `json:"epoch" doc:"of the current working key"`
	Pattern        custody.HexBytes   `json:"pattern" doc:"its verification pattern"`
	NextEpoch      uint64             `json:"nextEpoch" doc:"number that a load names"`
	Next           *Register          `json:"next,omitempty"`
	Previous       *Register          `json:"previous,omitempty"`
	Recovery       *RecoveryView      `json:"recovery,omitempty"`
	Doomed         uint64             `json:"doomed,omitempty" doc:"blobs that are being erased"`
	Fault          string             `json:"fault,omitempty" doc:"why enciphering or erasing stands still"`
	Since          uint64             `json:"since,omitempty" doc:"entry that zeroized the domain"`
	Administrators []custody.PersonID `json:"administrators"`
}

// Register is the next or the previous epoch.
type Register struct {
	Epoch     uint64           `json:"epoch"`
	Pattern   custody.HexBytes `json:"pattern"`
	Committed bool             `json:"committed,omitempty"`
	Lacking   uint64           `json:"lacking,omitempty" doc:"keys that are not enciphered for it yet"`
	Keys      uint64           `json:"keys,omitempty" doc:"of so many"`
	NewShares bool             `json:"newCustodians,omitempty"`
}

// RecoveryView says who can restore the domain.
type RecoveryView struct {
	Threshold uint32           `json:"threshold"`
	Shares    uint32           `json:"shares"`
	Hash      custody.HexBytes `json:"hash" doc:"of the recovery record"`
}

// SignedStatus is the core's status with the signature of the domain identity key.
type SignedStatus struct {
	Statement []byte `json:"statement" doc:"canonical CBOR: nonce and status (docs/spec/domain.md)"`
	Signature []byte `json:"signature" doc:"Ed25519 over strongroom/status/v1, a zero byte and the statement"`
}

// Cache says how far serve's cache follows the log.
type Cache struct {
	Entries uint64 `json:"entries"`
	Behind  uint64 `json:"behind"`
}

// Check is the full re-check of log, decisions and blobs.
type Check struct {
	Running bool   `json:"running"`
	Checked uint64 `json:"checked"`
	Total   uint64 `json:"total"`
	Done    bool   `json:"done"`
	Fault   string `json:"fault,omitempty" doc:"what is wrong and where"`
}

// Chain is how a chain's node is.
type Chain struct {
	Chain   custody.ChainID `json:"chain"`
	Node    string          `json:"node"`
	Version string          `json:"version,omitempty"`
	Height  uint64          `json:"height"`
	Hash    string          `json:"hash,omitempty"`
	Time    int64           `json:"blockTime,omitempty" doc:"of the newest block, Unix seconds"`
	Behind  uint64          `json:"behind"`
	Peers   uint64          `json:"peers"`
	Error   string          `json:"error,omitempty" doc:"why the node can't be asked"`
}

// ChainList is the chains that serve has nodes for.
type ChainList struct {
	Chains []Chain `json:"chains"`
}

// RequestView is all that is known of a request. Canonical is what was signed; the rest can be derived from it or is the
// core's record.
type RequestView struct {
	ID             string            `json:"id"`
	State          string            `json:"state" doc:"pending, ready, signed, exported, executed, refused, rejected, cancelled, expired or void"`
	Operation      request.Operation `json:"operation"`
	Initiator      custody.PersonID  `json:"initiator"`
	IdempotencyKey string            `json:"idempotencyKey"`
	NotAfter       int64             `json:"notAfter"`
	Body           json.RawMessage   `json:"body"`
	Canonical      []byte            `json:"canonical" doc:"canonical CBOR of the request"`
	Effects        request.Effects   `json:"effects"`
	Bounds         request.Bounds    `json:"bounds"`
	Decision       Decision          `json:"decision" doc:"of the rules, on acceptance"`
	Approvals      []Vote            `json:"approvals" doc:"that stand; of a request that ended, those that were given"`
	EndedBy        *Vote             `json:"endedBy,omitempty" doc:"who rejected or cancelled it"`
	Hold           *Hold             `json:"hold,omitempty" doc:"what keeps it from being done, while it waits: somebody holds it"`
	Note           string            `json:"note,omitempty" doc:"why an approved transfer is not signed or sent, as serve last found; an attempt has a note of its own"`
	Missing        *Lack             `json:"missing,omitempty" doc:"what it waits for, or why it was refused"`
	Signed         *Signed           `json:"signed,omitempty" doc:"latest attempt that the core released"`
	Attempts       []Attempt         `json:"attempts,omitempty" doc:"what the chain shows of each attempt"`
	Seq            uint64            `json:"seq" doc:"log entry of the request"`
	Last           uint64            `json:"last" doc:"log entry that decided its state"`
	Receipt        *Receipt          `json:"receipt,omitempty"`

	Simulation *simulation.Report `json:"simulation,omitempty" doc:"what serve says that its node said when the request came; nobody has checked it"`
}

// Lack is what a request lacks.
type Lack struct {
	Kind   problem.Kind    `json:"kind"`
	Detail string          `json:"detail"`
	Rule   string          `json:"rule,omitempty"`
	Unmet  []problem.Unmet `json:"unmet,omitempty"`
}

// Decision is what the rules said.
type Decision struct {
	Outcome       policy.Outcome   `json:"outcome"`
	PolicyVersion uint64           `json:"policyVersion"`
	PolicyHash    string           `json:"policyHash"`
	Rule          string           `json:"rule"`
	Reason        string           `json:"reason,omitempty"`
	Auto          bool             `json:"auto"`
	Plan          []Branch         `json:"plan,omitempty" doc:"any one branch is enough"`
	FeeCap        *custody.Uint256 `json:"feeCap,omitempty"`
	Unmet         []problem.Unmet  `json:"unmet,omitempty"`
	Also          []Requirement    `json:"also,omitempty" doc:"plans that must be met besides"`

	Delay       int64    `json:"delay,omitempty" doc:"seconds after acceptance before which it is not done"`
	Obligations []string `json:"obligations,omitempty" doc:"that added to what it needs"`
	MinGroups   uint32   `json:"minDistinctGroups,omitempty" doc:"different groups that those who approve stand for, over all plans"`

	Prices []PriceUsed `json:"prices,omitempty" doc:"that rules in money looked at: the domain's word, from the quotes of its log"`
}

// Requirement is a plan that must be met besides the one that decided.
type Requirement struct {
	Rule   string   `json:"rule"`
	Plan   []Branch `json:"plan" doc:"any one branch is enough"`
	Groups []Group  `json:"groups,omitempty" doc:"of the rules as they will be; absent: as they are"`
	Floor  uint32   `json:"minDistinctUsers"`

	FloorGroups uint32 `json:"minDistinctGroups,omitempty"`
}

// RequirementsOf gives the JSON form.
func RequirementsOf(list []policy.Requirement) (out []Requirement) {
	for _, r := range list {
		x := Requirement{Rule: r.Rule, Plan: PlanOf(r.Plan), Floor: r.Floor, FloorGroups: r.FloorGroups}
		for _, g := range r.Groups {
			x.Groups = append(x.Groups, Group(g))
		}
		out = append(out, x)
	}
	return out
}

// Branch is met when each step is.
type Branch struct {
	Steps []Step `json:"steps"`

	Delay        int64 `json:"delay,omitempty" doc:"seconds after acceptance before which it is not met"`
	ExpiresAfter int64 `json:"expiresAfter,omitempty" doc:"age in seconds from which on an approval does not count"`
	Deadline     int64 `json:"deadline,omitempty" doc:"seconds after acceptance from which on it is not met any more"`
}

// Step is met when min members of the group approved.
type Step struct {
	Group custody.GroupID `json:"group"`
	Min   uint32          `json:"min"`

	Ordered  bool              `json:"ordered,omitempty" doc:"approvals count after the steps before are met"`
	Hardware bool              `json:"hardwareOnly,omitempty" doc:"approvals by passkeys only"`
	Differ   []custody.GroupID `json:"mustDifferFrom,omitempty" doc:"whose members don't count"`
	Veto     []custody.GroupID `json:"veto,omitempty" doc:"whose members may reject"`
}

// Vote is a person's signed decision.
type Vote struct {
	Person custody.PersonID `json:"person"`
	Key    request.KeyRef   `json:"key"`
	Seq    uint64           `json:"seq"`
	Time   string           `json:"time"`
}

// Signed is a released transaction.
type Signed struct {
	Attempt uint32 `json:"attempt"`
	Permit  uint64 `json:"permit" doc:"log entry"`
	TxID    string `json:"txid,omitempty"`
	Bytes   []byte `json:"bytes,omitempty" doc:"ready to broadcast"`
}

// Attempt is one signed transaction of a transfer, as the chain shows it.
type Attempt struct {
	Attempt       uint32 `json:"attempt"`
	State         string `json:"state"`
	TxID          string `json:"txid,omitempty"`
	Confirmations uint64 `json:"confirmations"`
	Required      uint64 `json:"required,omitempty" doc:"confirmations until it is final"`
	Height        uint64 `json:"height,omitempty"`
	Note          string `json:"note,omitempty"`
}

// Receipt is the core's signed word.
type Receipt struct {
	Seq       uint64 `json:"seq"`
	Leaf      string `json:"leaf"`
	State     string `json:"state"`
	Signature []byte `json:"signature"`
}

// RequestList is a page of requests.
type RequestList struct {
	Requests []RequestView `json:"requests"`
	Next     string        `json:"next,omitempty" doc:"cursor of the next page"`
}

// StatementView is what an approver signs: the canonical bytes, and the same decoded for comparison. Who signs recomputes it.
type StatementView struct {
	Canonical []byte    `json:"canonical" doc:"canonical CBOR"`
	Message   []byte    `json:"message" doc:"what is signed: tag, zero byte, canonical"`
	Hash      string    `json:"hash" doc:"SHA-256 of message"`
	Statement Statement `json:"statement"`
}

// Statement is request.Statement in JSON.
type Statement struct {
	Authority     string           `json:"authority"`
	Domain        string           `json:"domain"`
	Request       string           `json:"request"`
	Initiator     custody.PersonID `json:"initiator"`
	Effects       request.Effects  `json:"effects"`
	BodyHash      string           `json:"bodyHash" doc:"hash of the whole request"`
	Bounds        request.Bounds   `json:"bounds"`
	PolicyVersion uint64           `json:"policyVersion"`
	PolicyHash    string           `json:"policyHash"`
	Approver      custody.PersonID `json:"approver"`
	Decision      request.Decision `json:"decision"`
}

// DecisionIn is a person's signed decision on a request.
type DecisionIn struct {
	Person    custody.PersonID `json:"person"`
	Key       request.KeyRef   `json:"key"`
	Signature []byte           `json:"signature" doc:"64 bytes over the statement's message"`
}

// Wallet is a wallet with its counters.
type Wallet struct {
	ID          custody.WalletID `json:"id"`
	Chain       custody.ChainID  `json:"chain"`
	Scheme      request.Scheme   `json:"scheme"`
	Seed        custody.KeyID    `json:"seed"`
	Account     uint32           `json:"account"`
	Public      custody.HexBytes `json:"public" doc:"account public key, compressed; of class token that of the key"`
	ChainCode   custody.HexBytes `json:"chainCode"`
	Master      string           `json:"master" doc:"fingerprint of the master key"`
	Parent      string           `json:"parent" doc:"fingerprint of the account key's parent"`
	NextReceive uint32           `json:"nextReceive"`
	NextChange  uint32           `json:"nextChange"`
	Address     string           `json:"address" doc:"receiving address 0"`

	Temperature  request.Temperature `json:"temperature" doc:"hot, warm or cold"`
	WarmSessions []WarmSession       `json:"warmSessions,omitempty" doc:"of a warm wallet"`
	Away         *Away               `json:"away,omitempty" doc:"of a cold wallet: where its key is"`
	Class        request.Class       `json:"class,omitempty" doc:"token: its key is in the token and in no backup; left out: in the core, derived from the seed"`
}

// WarmSession is a session of a warm wallet: its transfers of the asset can be signed until it ends or is used up.
type WarmSession struct {
	Asset     custody.AssetID `json:"asset"`
	Amount    custody.Uint256 `json:"amount" doc:"that it was opened for"`
	Remaining custody.Uint256 `json:"remaining" doc:"that no transfer has taken"`
	NotAfter  int64           `json:"notAfter" doc:"Unix seconds"`
	Entry     uint64          `json:"entry" doc:"of the log, that opened it"`
	Open      bool            `json:"open" doc:"false once its time may be over"`
}

// WalletList is a page of wallets.
type WalletList struct {
	Wallets []Wallet `json:"wallets"`
	Total   uint64   `json:"total"`
	Next    string   `json:"next,omitempty"`
}

// AppGrant is a grant to an application: what a caller of a gateway may do with keys.
type AppGrant struct {
	Grant   request.AppGrantBody `json:"grant"`
	Entry   uint64               `json:"entry" doc:"that made it"`
	Request string               `json:"request" doc:"that it was asked for with"`
	Used    uint64               `json:"used" doc:"uses so far"`
	Logins  uint64               `json:"logins" doc:"open login sessions of the caller"`
	Open    bool                 `json:"open" doc:"false: its time may be over, or its gateway is not active"`
}

// AppGrantList is a page of grants, oldest first.
type AppGrantList struct {
	Grants  []AppGrant `json:"grants"`
	Total   uint64     `json:"total"`
	Revoked uint64     `json:"revokedKeys" doc:"keys of applications that are revoked"`
	Next    string     `json:"next,omitempty"`
}

// Address is an address of a wallet.
type Address struct {
	Branch  uint32 `json:"branch" doc:"0 receives, 1 is change"`
	Index   uint32 `json:"index"`
	Address string `json:"address"`
	Nonce   uint64 `json:"nonce" doc:"Ethereum: least nonce that no permit has used"`
}

// AddressList is a run of addresses.
type AddressList struct {
	Addresses []Address `json:"addresses"`
	Next      string    `json:"next,omitempty"`
}

// Balance is what a wallet holds of an asset, as the chain's node says.
type Balance struct {
	Asset     custody.AssetID `json:"asset"`
	Confirmed custody.Uint256 `json:"confirmed" doc:"base units"`
	Pending   custody.Uint256 `json:"pending" doc:"base units that are seen and not yet confirmed"`
}

// BalanceList is the balances of a wallet.
type BalanceList struct {
	Balances []Balance `json:"balances"`
}

// PolicyView is the rule document in both forms.
type PolicyView struct {
	Hash      string   `json:"hash"`
	Canonical []byte   `json:"canonical"`
	Document  Document `json:"document"`
}

// PersonList is the document's principals.
type PersonList struct {
	Persons []Principal `json:"persons"`
}

// GroupList is the document's groups.
type GroupList struct {
	Groups []Group `json:"groups"`
}

// AddressBook is the document's address book.
type AddressBook struct {
	Entries []ListedEntry `json:"entries"`
	Total   uint64        `json:"total"`
	Next    string        `json:"next,omitempty" doc:"cursor of the next page; absent on the last"`
}

// SessionIn asks for a service's session.
type SessionIn struct {
	Opening   []byte         `json:"opening" doc:"canonical CBOR of the opening"`
	Key       request.KeyRef `json:"key"`
	Signature []byte         `json:"signature"`
}

// SessionView is an open session.
type SessionView struct {
	Session   string `json:"session" doc:"32 hex digits"`
	Ephemeral []byte `json:"ephemeral" doc:"the core's one-time X25519 public key"`
	Seq       uint64 `json:"seq"`
	Signature []byte `json:"signature" doc:"of the domain identity key"`
}

// CertificateIn asks for a client certificate.
type CertificateIn struct {
	CSR       []byte         `json:"csr" doc:"PKCS #10, DER"`
	Key       request.KeyRef `json:"key" doc:"approval key of the person that signed"`
	NotAfter  int64          `json:"notAfter" doc:"Unix seconds: end of the statement, at most an hour ahead"`
	Signature []byte         `json:"signature" doc:"over the certificate statement"`
}

// CertificateView is a new client certificate.
type CertificateView struct {
	Certificate []byte `json:"certificate" doc:"X.509, DER"`
	Authority   []byte `json:"authority" doc:"certificate of the authority that issued it, DER"`
}

// EntryList is a run of log entries.
type EntryList struct {
	Entries []Entry `json:"entries"`
	Pinned  uint64  `json:"pinned"`
	Next    uint64  `json:"next" doc:"where to go on"`
}

// Entry is a log entry in clear.
type Entry struct {
	Seq    uint64 `json:"seq"`
	Kind   string `json:"kind"`
	Time   string `json:"time"`
	Leaf   []byte `json:"leaf" doc:"canonical CBOR of the header"`
	Hash   string `json:"hash" doc:"RFC 6962 leaf hash"`
	Bodies []Body `json:"bodies"`
}

// Body is a body in clear with its salt.
type Body struct {
	Salt     []byte `json:"salt,omitempty"`
	Body     []byte `json:"body,omitempty" doc:"canonical CBOR"`
	Shredded bool   `json:"shredded,omitempty"`
}
