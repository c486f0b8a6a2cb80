[assembly: AssemblyFixture(typeof(Wave16.Testing.PostgresFixture))]
