// SPDX-License-Identifier: Apache-2.0

package client

import (
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/simulation"
)

// Identities, amounts and names, as in the platform's own packages.
type (
	AuthorityID = custody.AuthorityID // 32 bytes, hex in text
	RequestID   = custody.RequestID
	PersonID    = custody.PersonID
	GroupID     = custody.GroupID
	WalletID    = custody.WalletID
	KeyID       = custody.KeyID
	ChainID     = custody.ChainID
	AssetID     = custody.AssetID
	Amount      = custody.Uint256 // base units
	Kind        = problem.Kind
	Unmet       = problem.Unmet
	PublicKey   = request.PublicKey
	KeyRef      = request.KeyRef
	Operation   = request.Operation
	Decision    = request.Decision
	Effects     = request.Effects
	Bounds      = request.Bounds
	Request     = request.Request
	Statement   = request.Statement
	Approval    = request.Approval
	RuleSet     = policy.Document

	SimulationReport = simulation.Report // what serve says that its node said; nobody has checked it
)

// Bodies of requests.
type (
	Body              = request.Body
	Transfer          = request.TransferBody
	Output            = request.Output
	WalletCreate      = request.WalletCreateBody
	AddressCreate     = request.AddressCreateBody
	PolicyChange      = request.PolicyChangeBody
	PersonEnrol       = request.PersonEnrolBody
	PersonRevoke      = request.PersonRevokeBody
	GroupSet          = request.GroupSetBody
	WhitelistAdd      = request.WhitelistAddBody
	WhitelistRemove   = request.WhitelistRemoveBody
	WhitelistSuspend  = request.WhitelistSuspendBody
	WhitelistReview   = request.WhitelistReviewBody
	BlacklistAdd      = request.BlacklistAddBody
	BlacklistRemove   = request.BlacklistRemoveBody
	Ownership         = request.Ownership
	WalletTemperature = request.WalletTemperatureBody
	WarmOpen          = request.WarmOpenBody
	WarmClose         = request.WarmCloseBody
	AppGrant          = request.AppGrantBody
	AppRevoke         = request.AppRevokeBody
	AppKeyRevoke      = request.AppKeyRevokeBody
	AppCaller         = request.AppCaller
	AppFunction       = request.AppFunction
	WalletMove        = request.WalletMoveBody
	OfflineAdd        = request.OfflineAddBody
	OfflineRemove     = request.OfflineRemoveBody
	PointsSet         = request.PointsSetBody
	EpochLoad         = request.EpochLoadBody
	EpochCommit       = request.EpochCommitBody
	EpochActivate     = request.EpochActivateBody
	EpochFinalize     = request.EpochFinalizeBody
	EpochCancel       = request.EpochCancelBody
	Zeroize           = request.ZeroizeBody
	Restore           = request.RestoreBody
	ReanchorCancel    = request.ReanchorCancelBody
	SlotReconcile     = request.SlotReconcileBody
	WalletNonce       = request.WalletNonce
	SpentInput        = request.SpentInput
	ShareReceipt      = request.ShareReceipt
	RecoveryRecord    = request.Recovery
	PointSet          = points.Set
	PersonKeyAdd      = request.PersonKeyAddBody
	PersonKeyRemove   = request.PersonKeyRemoveBody
	Freeze            = request.FreezeBody
	Unfreeze          = request.UnfreezeBody
	Drain             = request.DrainBody
	Resume            = request.ResumeBody
	RequestHold       = request.RequestHoldBody
	RequestRelease    = request.RequestReleaseBody
	Role              = request.Role
)

// What serve tells.
type (
	Status         = apiv1.Status
	Life           = apiv1.Life
	Register       = apiv1.Register
	RecoveryView   = apiv1.RecoveryView
	Reanchoring    = apiv1.Reanchoring
	Mode           = apiv1.Mode
	Hold           = apiv1.Hold
	Chain          = apiv1.Chain
	Check          = apiv1.Check
	RequestView    = apiv1.RequestView
	RequestList    = apiv1.RequestList
	StatementView  = apiv1.StatementView
	Signed         = apiv1.Signed
	Explanation    = apiv1.Explanation
	Meter          = apiv1.Meter
	MeterList      = apiv1.MeterList
	Attempt        = apiv1.Attempt
	Wallet         = apiv1.Wallet
	WalletList     = apiv1.WalletList
	WarmSession    = apiv1.WarmSession
	AppGrantView   = apiv1.AppGrant
	AppGrantList   = apiv1.AppGrantList
	Address        = apiv1.Address
	AddressList    = apiv1.AddressList
	Balance        = apiv1.Balance
	PolicyView     = apiv1.PolicyView
	Document       = apiv1.Document
	Principal      = apiv1.Principal
	Group          = apiv1.Group
	BookEntry      = apiv1.ListedEntry
	BlockedAddress = apiv1.Blocked
	EntryList      = apiv1.EntryList
	Entry          = apiv1.Entry
)

// Decisions of a person on a request.
const (
	Approve = request.Approve
	Reject  = request.Reject
	Cancel  = request.Cancel
)

// ParseAmount reads a whole number of base units in decimal digits.
func ParseAmount(s string) (Amount, error) { return custody.ParseUint256(s) }

// ParseAuthorityID reads 64 hex digits.
func ParseAuthorityID(s string) (AuthorityID, error) { return custody.ParseAuthorityID(s) }

// ParseRequestID reads 64 hex digits.
func ParseRequestID(s string) (RequestID, error) { return custody.ParseRequestID(s) }
