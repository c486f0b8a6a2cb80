using Npgsql;
using NpgsqlTypes;

namespace Wave16.VulnCenter;

/// <summary>Parameters that may be null. The type has to be said: a null has none to be inferred from.</summary>
internal static class OptionalParameter
{
    public static NpgsqlParameter Text(string? value) => Of(value, NpgsqlDbType.Text);

    public static NpgsqlParameter Of<T>(T? value, NpgsqlDbType type) => new() { Value = (object?)value ?? DBNull.Value, NpgsqlDbType = type };
}
