// Package signature decides whether a commit or a tag was signed by a trusted key. It works on the raw bytes of the
// object and never on a parsed and re-encoded form, in which another object may hide.
//
// It is pure: keys, bytes and the time come in, a fingerprint or a Refusal goes out. gitsync/gogit calls it for each
// commit that it is asked for, before anything of the commit's tree is read:
//
//	keys, err := signature.ReadKeys(files)
//	signer, err := keys.Commit(id, raw, now)
package signature
