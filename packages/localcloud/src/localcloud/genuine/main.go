// A minimal Terraform core over the genuine AWS provider's resource code. It reads a request from each line of its
// input and writes an answer to each line of its output; requests run concurrently.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"maps"
	"math/big"
	"os"
	"slices"
	"sync"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
	"github.com/hashicorp/terraform-provider-aws/internal/provider"
)

type request struct {
	ID      int
	Do      string
	Address string
	Type    string
	Value   json.RawMessage
}

type answer struct {
	ID       int      `json:"id"`
	Value    any      `json:"value"`
	Changes  []string `json:"changes"`
	Replaces []string `json:"replaces"`
	Errors   []string `json:"errors"`
	Warnings []string `json:"warnings"`
}

type resource struct {
	kind                    string
	state, config, planned  tftypes.Value
	private, plannedPrivate []byte
}

type core struct {
	server    tfprotov5.ProviderServer
	schemas   *tfprotov5.GetProviderSchemaResponse
	meta      *tfprotov5.DynamicValue
	lock      sync.Mutex
	resources map[string]*resource
}

func main() {
	log.SetOutput(os.Stderr)
	ctx := context.Background()
	factory, _, err := provider.ProtoV5ProviderServerFactory(ctx)
	c := core{server: must(factory, err)(), resources: map[string]*resource{}}
	c.schemas = must(c.server.GetProviderSchema(ctx, &tfprotov5.GetProviderSchemaRequest{}))
	if c.schemas.ProviderMeta != nil {
		kind := c.schemas.ProviderMeta.ValueType()
		c.meta = wire(tftypes.NewValue(kind, nil))
	}
	var requests sync.WaitGroup
	var output sync.Mutex
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		var r request
		if err := json.Unmarshal(line, &r); err != nil {
			log.Fatal(err)
		}
		requests.Go(func() {
			text := must(json.Marshal(c.handle(ctx, r)))
			output.Lock()
			defer output.Unlock()
			fmt.Println(string(text))
		})
	}
	requests.Wait()
}

func (c *core) handle(ctx context.Context, r request) (a answer) {
	a.ID = r.ID
	defer func() {
		if failure := recover(); failure != nil {
			a.Errors = append(a.Errors, fmt.Sprint(failure))
		}
	}()
	switch r.Do {
	case "configure":
		kind := c.schemas.Provider.ValueType()
		config := wire(parse(kind, r.Value))
		prepared := must(c.server.PrepareProviderConfig(ctx, &tfprotov5.PrepareProviderConfigRequest{Config: config}))
		a.note(prepared.Diagnostics)
		if prepared.PreparedConfig != nil {
			config = prepared.PreparedConfig
		}
		done := must(c.server.ConfigureProvider(ctx, &tfprotov5.ConfigureProviderRequest{
			TerraformVersion: "1.14.0", Config: config,
		}))
		a.note(done.Diagnostics)
	case "schema":
		a.Value = c.schemas.ResourceSchemas[r.Type].Block
	case "adopt":
		c.find(r).state = parse(c.kind(r.Type), r.Value)
	case "read":
		c.read(ctx, c.find(r), &a)
	case "plan":
		c.plan(ctx, c.find(r), r.Value, &a)
	case "apply":
		c.apply(ctx, c.find(r), &a)
	default:
		a.Errors = append(a.Errors, "unknown request "+r.Do)
	}
	return a
}

func (c *core) read(ctx context.Context, it *resource, a *answer) {
	done := must(c.server.ReadResource(ctx, &tfprotov5.ReadResourceRequest{
		TypeName: it.kind, CurrentState: wire(it.state), Private: it.private, ProviderMeta: c.meta,
	}))
	if a.note(done.Diagnostics) {
		it.state, it.private = c.value(it, done.NewState), done.Private
		a.Value = plain(it.state)
	}
}

// plan has a null config for a deletion. The plan is what the next apply does.
func (c *core) plan(ctx context.Context, it *resource, text json.RawMessage, a *answer) {
	block := c.schemas.ResourceSchemas[it.kind].Block
	config := parse(c.kind(it.kind), text)
	if !config.IsNull() {
		valid := must(c.server.ValidateResourceTypeConfig(ctx, &tfprotov5.ValidateResourceTypeConfigRequest{
			TypeName: it.kind, Config: wire(config),
		}))
		if !a.note(valid.Diagnostics) {
			return
		}
	}
	done := must(c.server.PlanResourceChange(ctx, &tfprotov5.PlanResourceChangeRequest{
		TypeName: it.kind, PriorState: wire(it.state), ProposedNewState: wire(propose(block, it.state, config)),
		Config: wire(config), PriorPrivate: it.private, ProviderMeta: c.meta,
	}))
	if !a.note(done.Diagnostics) {
		return
	}
	it.config, it.planned, it.plannedPrivate = config, c.value(it, done.PlannedState), done.PlannedPrivate
	a.Value = plain(it.planned)
	for _, path := range done.RequiresReplace {
		a.Replaces = append(a.Replaces, path.String())
	}
	was, is := members(it.state), members(it.planned)
	for name := range is {
		if was != nil && !was[name].Equal(is[name]) {
			a.Changes = append(a.Changes, name)
		}
	}
	slices.Sort(a.Changes)
}

func (c *core) apply(ctx context.Context, it *resource, a *answer) {
	done := must(c.server.ApplyResourceChange(ctx, &tfprotov5.ApplyResourceChangeRequest{
		TypeName: it.kind, PriorState: wire(it.state), PlannedState: wire(it.planned), Config: wire(it.config),
		PlannedPrivate: it.plannedPrivate, ProviderMeta: c.meta,
	}))
	a.note(done.Diagnostics)
	if done.NewState != nil {
		it.state, it.private = c.value(it, done.NewState), done.Private
		a.Value = plain(it.state)
	}
}

func (c *core) find(r request) *resource {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.resources[r.Address] == nil {
		c.resources[r.Address] = &resource{kind: r.Type, state: tftypes.NewValue(c.kind(r.Type), nil)}
	}
	return c.resources[r.Address]
}

func (c *core) kind(name string) tftypes.Type {
	return c.schemas.ResourceSchemas[name].ValueType()
}

func (c *core) value(it *resource, text *tfprotov5.DynamicValue) tftypes.Value {
	return must(text.Unmarshal(c.kind(it.kind)))
}

// note reports whether there are no errors.
func (a *answer) note(diagnostics []*tfprotov5.Diagnostic) bool {
	for _, d := range diagnostics {
		text := fmt.Sprintf("%s: %s %s", d.Attribute, d.Summary, d.Detail)
		if d.Severity == tfprotov5.DiagnosticSeverityError {
			a.Errors = append(a.Errors, text)
		} else {
			a.Warnings = append(a.Warnings, text)
		}
	}
	return len(a.Errors) == 0
}

// propose merges a config with the values of the prior state that the provider had computed, as Terraform does.
func propose(block *tfprotov5.SchemaBlock, prior, config tftypes.Value) tftypes.Value {
	was, is := members(prior), members(config)
	if is == nil {
		return config
	}
	for _, attribute := range block.Attributes {
		if old, exists := was[attribute.Name]; exists && attribute.Computed && is[attribute.Name].IsNull() {
			is[attribute.Name] = old
		}
	}
	for _, nested := range block.BlockTypes {
		is[nested.TypeName] = proposeNested(nested, was[nested.TypeName], is[nested.TypeName])
	}
	return tftypes.NewValue(config.Type(), is)
}

func proposeNested(nested *tfprotov5.SchemaNestedBlock, prior, config tftypes.Value) tftypes.Value {
	if config.IsNull() || !config.IsKnown() || config.Type().Is(tftypes.Object{}) {
		return propose(nested.Block, prior, config)
	}
	was, is := elements(prior), elements(config)
	for i, item := range is {
		for j, old := range was {
			proposed := propose(nested.Block, old, item)
			isSame := i == j
			if nested.Nesting == tfprotov5.SchemaNestedBlockNestingModeSet {
				isSame = proposed.Equal(old)
			}
			if isSame {
				is[i] = proposed
			}
		}
	}
	return tftypes.NewValue(config.Type(), is)
}

func members(value tftypes.Value) (found map[string]tftypes.Value) {
	if !value.IsNull() && value.IsKnown() {
		check(value.As(&found))
	}
	return maps.Clone(found)
}

func elements(value tftypes.Value) (found []tftypes.Value) {
	if !value.IsNull() && value.IsKnown() {
		check(value.As(&found))
	}
	return slices.Clone(found)
}

func parse(kind tftypes.Type, text json.RawMessage) tftypes.Value {
	return must(tfprotov5.RawState{JSON: text}.Unmarshal(kind))
}

func wire(value tftypes.Value) *tfprotov5.DynamicValue {
	written := must(tfprotov5.NewDynamicValue(value.Type(), value))
	return &written
}

// plain is a value as JSON has it; one that is not known yet is `{"unknown": true}`.
func plain(value tftypes.Value) any {
	var text string
	var truth bool
	var number *big.Float
	switch kind := value.Type(); {
	case !value.IsKnown():
		return map[string]bool{"unknown": true}
	case value.IsNull():
		return nil
	case kind.Is(tftypes.String):
		check(value.As(&text))
		return text
	case kind.Is(tftypes.Bool):
		check(value.As(&truth))
		return truth
	case kind.Is(tftypes.Number):
		check(value.As(&number))
		return json.Number(number.Text('f', -1))
	case kind.Is(tftypes.Object{}), kind.Is(tftypes.Map{}):
		found := map[string]any{}
		for name, item := range members(value) {
			found[name] = plain(item)
		}
		return found
	}
	found := []any{}
	for _, item := range elements(value) {
		found = append(found, plain(item))
	}
	return found
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
