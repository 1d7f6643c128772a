//! Reads `OSTLER_*` one variable after the other, and keeps every error until all have been read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

/// The prefix of every variable.
const PREFIX: &str = "OSTLER_";

/// From this likeness on, one name may be meant by another.
const LIKE: f64 = 0.8;

/// Kubernetes tells every container of all Services of its namespace, one that is called
/// `ostler` or `ostler-x` among them, by variables such as `OSTLER_SERVICE_HOST` and
/// `OSTLER_PORT_80_TCP` (its documentation, "Accessing the Service"). Nobody has written these.
fn leave_out_services(variables: &mut BTreeMap<String, OsString>) {
    let services = variables.keys().filter_map(|name| name.strip_suffix("_SERVICE_HOST").map(str::to_owned));
    for service in services.collect::<Vec<_>>() {
        variables.retain(|name, _| {
            let tail = name.strip_prefix(&service).unwrap_or_default();
            let port =
                tail.strip_prefix("_PORT").is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
            !(port || tail.starts_with("_SERVICE_"))
        });
    }
}

/// How alike two names are behind their common prefix, from 0 to 1.
fn likeness(known: &str, name: &str) -> f64 {
    let tail = |name: &str| name.strip_prefix(PREFIX).unwrap_or(name).to_owned();
    strsim::jaro_winkler(&tail(known), &tail(name))
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nothing was said.
    Default,
    /// A variable of the environment.
    Environment,
    /// The command line, which wins over the environment.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::Environment => "environment",
            Self::CommandLine => "command line",
        })
    }
}

/// One variable, as `--check` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The variable's name.
    pub name: &'static str,
    /// Its value, as written.
    pub value: Cow<'static, str>,
    /// Where that comes from.
    pub origin: Origin,
}

/// The variables not asked for yet, those that were, and what was wrong.
pub(super) struct Reader {
    unread: BTreeMap<String, OsString>,
    settings: Vec<Setting>,
    errors: Vec<String>,
}

impl Reader {
    /// Takes every variable whose name begins with `OSTLER_`.
    pub(super) fn new(environment: &[(OsString, OsString)]) -> Self {
        let ours = |(name, value): &(OsString, OsString)| {
            name.as_bytes()
                .starts_with(PREFIX.as_bytes())
                .then(|| (name.to_string_lossy().into_owned(), value.clone()))
        };
        let mut unread: BTreeMap<_, _> = environment.iter().filter_map(ours).collect();
        leave_out_services(&mut unread);
        Self { unread, settings: Vec::new(), errors: Vec::new() }
    }

    /// The value of `name`, which is `default` if the variable is not set or empty. An error of `parse` is what to
    /// write instead.
    pub(super) fn read<T>(
        &mut self,
        name: &'static str,
        default: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.take(name, default);
        parse(value).map_err(|cure| self.wrong(&cure)).ok()
    }

    /// All of `read` that is the same for every type.
    fn take(&mut self, name: &'static str, default: &'static str) -> &str {
        let given = self.unread.remove(name).filter(|value| !value.is_empty());
        let (value, origin) = match given {
            Some(value) => (value.to_string_lossy().trim().to_owned().into(), Origin::Environment),
            None => (default.into(), Origin::Default),
        };
        self.settings.push(Setting { name, value, origin });
        self.settings.last().map_or(default, |setting| &setting.value)
    }

    /// What was taken last cannot be used.
    fn wrong(&mut self, cure: &str) {
        let wrong = self.settings.last().map(|Setting { name, value, .. }| format!("{name}={value}: {cure}"));
        self.errors.extend(wrong);
    }

    /// As `read`, of a variable that has no default.
    pub(super) fn read_if_set<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        if self.is_set(name) {
            return self.read(name, "", parse);
        }
        self.unread.remove(name);
        None
    }

    fn is_set(&self, name: &str) -> bool {
        self.unread.get(name).is_some_and(|value| !value.is_empty())
    }

    /// Something else overrides the variable `name`: the command line, or another variable.
    pub(super) fn overridden(&mut self, name: &'static str, value: &str, origin: Origin) {
        self.settings.retain(|setting| setting.name != name);
        self.settings.push(Setting { name, value: value.to_owned().into(), origin });
    }

    /// Something else was wrong, and what to write instead.
    pub(super) fn refuse(&mut self, error: String) {
        self.errors.push(error);
    }

    /// What was read, or everything that was wrong: variables that nobody asked for among it. `known` are all names
    /// there are.
    pub(super) fn finish<'a>(
        self,
        known: &(impl Iterator<Item = &'a str> + Clone),
    ) -> Result<Vec<Setting>, Vec<String>> {
        let mut errors = self.errors;
        for name in self.unread.keys() {
            let nearest =
                known.clone().map(|known| (likeness(known, name), known)).max_by(|a, b| a.0.total_cmp(&b.0));
            errors.push(match nearest {
                Some((likeness, nearest)) if likeness >= LIKE => {
                    format!("{name}: there is no such variable; the nearest is {nearest}")
                }
                Some(_) | None => format!("{name}: there is no such variable; ostler --help lists them"),
            });
        }
        if errors.is_empty() { Ok(self.settings) } else { Err(errors) }
    }
}
