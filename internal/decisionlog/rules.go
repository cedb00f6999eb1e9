package decisionlog

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/plugins"
	"github.com/open-policy-agent/opa/v1/storage"

	"github.com/mozilla-iam/eksguard/internal/policy"
)

//go:embed rules.rego
var ownRules string

// ownPath is no path of a file in a bundle: these begin with the bundle's name.
const ownPath = "eksguard_decision_log.rego"

// Follow makes the rules of the snapshot's package system.log, and its settings, those of the log. Until they could be
// installed, nothing is logged. It is called after Start.
func (l *Log) Follow(ctx context.Context, snapshot *policy.Snapshot) {
	l.rules.Lock()
	defer l.rules.Unlock()
	defer l.followOne.Do(func() { close(l.followed) })
	settings, err := snapshot.Settings()
	if err == nil {
		err = l.install(ctx, snapshot.LogModules(), settings)
	}
	if err != nil {
		l.ruled.Store(false)
		l.logger.Error("decision log: nothing is logged: the rules of package system.log could not be installed",
			"revision", snapshot.Revision(), "error", err.Error())
	}
}

func (l *Log) install(ctx context.Context, modules map[string]string, settings map[string]any) error {
	parsed := map[string]*ast.Module{}
	for path, text := range modules {
		module, err := ast.ParseModule(path, text)
		if err != nil {
			return err
		}
		parsed[path] = module
	}
	parsed[ownPath] = ast.MustParseModule(ownRules)
	compiler := ast.NewCompiler()
	if compiler.Compile(parsed); compiler.Failed() {
		return compiler.Errors
	}
	params := storage.TransactionParams{Write: true, Context: storage.NewContext()}
	plugins.SetCompilerOnContext(params.Context, compiler)
	data := map[string]any{"eksguard": map[string]any{"settings": settings}}
	err := storage.Txn(ctx, l.manager.Store, params, func(txn storage.Transaction) error {
		return l.manager.Store.Write(ctx, txn, storage.AddOp, storage.Path{}, data)
	})
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	l.ruled.Store(true)
	return nil
}
