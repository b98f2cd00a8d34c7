//! What ties a program's command line to the parameters: which parameters its macros name, and how
//! each is written as an argument.

use super::state::Document;
use crate::spec::args_forms;
use crate::spec::arguments::ArgsForms;
use crate::spec::command::{Piece, Program};
use crate::spec::problem::{Finding, quoted};
use crate::spec::task::Task;
use crate::spec::tree::Fields;
use crate::spec::validate::Draft;

impl Document<'_, '_> {
    /// Completes a program by what the rest of the file says of its arguments.
    pub(super) fn complete_program(
        &mut self,
        fields: &Fields<'_>,
        task: Option<&mut Task>,
        seed_name: Option<&str>,
        env: &[(String, Vec<Piece>)],
        drafts: &[Draft<'_>],
    ) {
        let block = fields.get("args");
        let all = block.map(|block| args_forms::read(block, self.problems));
        let Some(Task::Program(program)) = task else {
            let is_known = task.is_some();
            if let Some(block) = block.filter(|_| is_known) {
                let message = "`args` without a program: nothing is written as arguments";
                let help = "remove it";
                self.problems
                    .report(block.key_span, message, "without effect", help);
            }
            return;
        };

        let all = all.unwrap_or_default().within(Default::default());
        program.forms = ArgsForms {
            all,
            ..ArgsForms::default()
        };
        self.collect_forms(program, drafts);
        if let Some(name) = seed_name {
            program.seed_name = name.to_owned();
        }
        self.check_named_parameters(fields, program, env, drafts);
    }

    /// Gathers the forms of single parameters; an arm cannot have another one than the others.
    fn collect_forms(&mut self, program: &mut Program, drafts: &[Draft<'_>]) {
        let all = program.forms.all;
        let leaves = drafts.iter().flat_map(|draft| &draft.leaves);
        for param in leaves.flat_map(|leaf| &leaf.params) {
            let Some(form) = param.form else {
                continue;
            };
            let form = form.within(all);
            let earlier = program.forms.own.insert(param.name.clone(), form);
            if earlier.is_some_and(|earlier| earlier != form) {
                let message = format!("`args` of {} differs between arms", quoted(&param.name));
                let help = "write it the same way everywhere";
                self.problems
                    .report(param.span, message, "another one", help);
            }
        }
    }

    /// Reports a parameter in `command` or `env` that some configurations lack.
    fn check_named_parameters(
        &mut self,
        fields: &Fields<'_>,
        program: &Program,
        env: &[(String, Vec<Piece>)],
        drafts: &[Draft<'_>],
    ) {
        let in_env = env.iter().flat_map(|(_, pieces)| pieces);
        let places = [
            ("command", program.pieces().collect::<Vec<_>>()),
            ("env", in_env.collect()),
        ];
        for (key, pieces) in places {
            let Some(entry) = fields.get(key) else {
                continue;
            };
            for piece in pieces {
                let Piece::Parameter(name) = piece else {
                    continue;
                };
                let leaves = drafts.iter().flat_map(|draft| &draft.leaves);
                let lacking = leaves.into_iter().find(|leaf| {
                    let param = leaf.params.iter().find(|param| param.name == *name);
                    param.is_none_or(|param| param.when.is_some())
                });
                let Some(leaf) = lacking else {
                    continue;
                };
                let message = format!(
                    "`${{{name}}}` in `{key}`, but not every configuration of {} has the parameter {}",
                    leaf.place,
                    quoted(name)
                );
                self.problems.add(
                    Finding::new(entry.key_span, message, "named here")
                        .also(leaf.span, "not there")
                        .help("give it a value there too, or let `${args}` pass it on"),
                );
                return;
            }
        }
    }
}
