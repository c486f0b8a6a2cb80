using System.Collections.Frozen;
using System.Text;

namespace Wave16.ServiceDefaults;

/// <summary>Every role and scope of this process.</summary>
public sealed class AccessCatalogue
{
    // OpenID Connect Core §5.4 and §11: what these ask for is the token itself, not a permission.
    private static readonly FrozenSet<string> OfOpenIdConnect =
        FrozenSet.Create(StringComparer.Ordinal, "openid", "profile", "email", "address", "phone", "offline_access");

    private readonly FrozenDictionary<string, Scope> _scopes;
    private readonly FrozenDictionary<string, FrozenSet<string>> _scopesOfRole;

    /// <exception cref="ArgumentException">A scope is declared twice, is not a scope token, or names an unknown role.</exception>
    public AccessCatalogue(IEnumerable<Scope> contributed)
    {
        var scopes = new Dictionary<string, Scope>(StringComparer.Ordinal);
        foreach (var scope in Access.PlatformScopes.Concat(contributed))
        {
            if (scope.Name.Length == 0 || scope.Name.AsSpan().ContainsAnyExceptInRange('!', '~') || scope.Name.AsSpan().ContainsAny('"', '\\'))
                throw new ArgumentException($"'{scope.Name}' is not a scope token (RFC 6749 §3.3).", nameof(contributed));
            if (!scopes.TryAdd(scope.Name, scope))
                throw new ArgumentException($"Scope '{scope.Name}' is declared twice.", nameof(contributed));
            foreach (var role in scope.Roles)
            {
                if (Access.Roles.All(r => r.Name != role))
                    throw new ArgumentException($"Scope '{scope.Name}' names the unknown role '{role}'.", nameof(contributed));
            }
        }

        _scopes = scopes.ToFrozenDictionary(StringComparer.Ordinal);
        _scopesOfRole = Access.Roles.ToFrozenDictionary(
            role => role.Name,
            role => scopes.Values.Where(s => s.Roles.Contains(role.Name)).Select(s => s.Name).ToFrozenSet(StringComparer.Ordinal),
            StringComparer.Ordinal);
    }

    public IReadOnlyCollection<Scope> Scopes => _scopes.Values;

    public bool IsDeclared(string scope) => _scopes.ContainsKey(scope);

    /// <summary>What a token with these claims may do.</summary>
    /// <remarks>A token with roles only has the roles' scopes. One with scopes only has those. With both, the scopes narrow
    /// what the roles allow (a client was granted less than its user may do): also a scope of another module, which this process
    /// need not know. The scopes of OpenID Connect (<c>openid</c>) do not narrow. <see cref="Access.CrossTenantAdministrator"/> counts only together with a break-glass reason.</remarks>
    public IReadOnlySet<string> Allowed(IReadOnlyCollection<string> scopes, IReadOnlyCollection<string> roles, bool breakGlass)
    {
        if (roles.Count == 0)
            return scopes.ToFrozenSet(StringComparer.Ordinal);
        var ofRoles = roles
            .Where(role => breakGlass || role != Access.CrossTenantAdministrator)
            .SelectMany(role => _scopesOfRole.TryGetValue(role, out var held) ? held : FrozenSet<string>.Empty);
        var granted = scopes.Where(scope => !OfOpenIdConnect.Contains(scope)).ToFrozenSet(StringComparer.Ordinal);
        return (granted.Count == 0 ? ofRoles : ofRoles.Where(granted.Contains)).ToFrozenSet(StringComparer.Ordinal);
    }

    /// <summary>The catalogue as Markdown, the text of <c>docs/roles.md</c>: stable order, <c>\n</c> line ends.</summary>
    public string ToMarkdown()
    {
        var text = new StringBuilder("# Roles and scopes\n\n");
        text.Append("A token with `roles` may do what its roles hold; a `scope` claim narrows that, unless it names only those of OpenID Connect. ");
        text.Append("A token with `scope` alone may do exactly that. Every token names its `tenant`.\n\n");
        text.Append("## Roles\n\n| Role | |\n|---|---|\n");
        foreach (var role in Access.Roles)
            text.Append("| `").Append(role.Name).Append("` | ").Append(role.Description).Append(" |\n");
        text.Append("\n## Scopes\n");
        foreach (var module in _scopes.Values.GroupBy(s => s.Module).OrderBy(g => g.Key != "platform").ThenBy(g => g.Key, StringComparer.Ordinal))
        {
            text.Append("\n### ").Append(module.Key).Append("\n\n| Scope | Allows to | Held by |\n|---|---|---|\n");
            foreach (var scope in module.OrderBy(s => s.Name, StringComparer.Ordinal))
            {
                text.Append("| `").Append(scope.Name).Append("` | ").Append(scope.Description).Append(" | ")
                    .AppendJoin(", ", Access.Roles.Where(r => scope.Roles.Contains(r.Name)).Select(r => "`" + r.Name + "`")).Append(" |\n");
            }
        }

        return text.ToString();
    }
}
