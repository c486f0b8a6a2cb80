using System.Globalization;
using System.Numerics;

namespace Wave16.VulnCenter.Tests.Cvss;

/// <summary>An exact number, for references that no rounding but the specification's touches.</summary>
internal readonly record struct Fraction(BigInteger Numerator, BigInteger Denominator)
{
    public static implicit operator Fraction(string number)
    {
        var point = number.IndexOf('.', StringComparison.Ordinal);
        var decimals = point < 0 ? 0 : number.Length - point - 1;
        return new Fraction(BigInteger.Parse(number.Replace(".", "", StringComparison.Ordinal), CultureInfo.InvariantCulture), BigInteger.Pow(10, decimals));
    }

    public static implicit operator Fraction(int number) => new(number, 1);

    public static Fraction operator +(Fraction a, Fraction b) => new(a.Numerator * b.Denominator + b.Numerator * a.Denominator, a.Denominator * b.Denominator);

    public static Fraction operator -(Fraction a, Fraction b) => new(a.Numerator * b.Denominator - b.Numerator * a.Denominator, a.Denominator * b.Denominator);

    public static Fraction operator *(Fraction a, Fraction b) => new(a.Numerator * b.Numerator, a.Denominator * b.Denominator);

    public static bool operator <(Fraction a, Fraction b) => (a - b).Numerator < 0;

    public static bool operator >(Fraction a, Fraction b) => b < a;

    public Fraction ToThe(int exponent) => new(BigInteger.Pow(Numerator, exponent), BigInteger.Pow(Denominator, exponent));

    public BigInteger Floor() => BigInteger.DivRem(Numerator, Denominator, out var rest) - (rest.Sign < 0 ? 1 : 0);

    public BigInteger Ceiling() => -new Fraction(-Numerator, Denominator).Floor();

    /// <summary>Halves away from zero.</summary>
    public BigInteger Round() => Numerator < 0 ? -new Fraction(-Numerator, Denominator).Round() : (this + "0.5").Floor();

    public static Fraction Least(Fraction a, Fraction b) => a < b ? a : b;
}
