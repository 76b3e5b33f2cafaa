// Package convert writes the objects of other tools for progressive delivery as Sluice's own, and keeps account of every
// line it was given: kept, changed in a way that is said, or dropped with the reason. It opens no file and asks no server.
//
//	result, err := convert.Run([]convert.File{{Name: "rollout.yaml", Content: text}}, convert.Options{})
package convert
