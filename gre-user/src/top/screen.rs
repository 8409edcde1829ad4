//! The terminal, keys, signals and readings, until the user has enough.

use std::{io::IsTerminal as _, thread, time::Duration};

use anyhow::ensure;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::MissedTickBehavior,
};

use super::{
    draw::draw,
    keys::{Then, press},
    model::Model,
    theme::Theme,
};
use crate::{state::StateDir, totals::Reading};

/// Shows rates until the user quits, or a signal asks for the end. The terminal is as before in any case, also after a panic.
///
/// # Errors
/// There is no terminal.
pub async fn run(dir: &StateDir, interval: Duration) -> anyhow::Result<()> {
    let is_terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    ensure!(is_terminal, "top needs a terminal; use --once, or `xgre stats --watch`");
    let mut terminal = ratatui::try_init()?;
    let ended = show(&mut terminal, dir, interval).await;
    ratatui::try_restore()?;
    ended
}

async fn show(
    terminal: &mut ratatui::DefaultTerminal,
    dir: &StateDir,
    interval: Duration,
) -> anyhow::Result<()> {
    let theme = Theme::of_environment();
    let mut model = Model::new(interval);
    let mut events = events();
    let [mut terminate, mut hang_up] =
        [signal(SignalKind::terminate())?, signal(SignalKind::hangup())?];
    let mut ticks = tokio::time::interval(interval);
    // Where a reading takes longer than an interval the next one is later.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reading = None;
    loop {
        terminal.draw(|frame| draw(frame, &mut model, theme))?;
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = hang_up.recv() => return Ok(()),
            _ = ticks.tick(), if reading.is_none() => {
                let dir = dir.clone();
                reading = Some(tokio::task::spawn_blocking(move || read(&dir)));
            }
            Some(read) = async { Some(reading.as_mut()?.await) }, if reading.is_some() => {
                let (read, daemon) = read?;
                model.enter(read);
                model.daemon = daemon;
                reading = None;
            }
            event = events.recv() => match event {
                // Keys that were pressed meanwhile are drawn together.
                Some(event) => {
                    let more = std::iter::from_fn(|| events.try_recv().ok());
                    for event in std::iter::once(event).chain(more) {
                        if let Event::Key(key) = event
                            && key.kind != KeyEventKind::Release
                            && press(&mut model, key) == Then::Quit
                        {
                            return Ok(());
                        }
                    }
                }
                // The terminal is gone.
                None => return Ok(()),
            },
        }
    }
}

fn read(dir: &StateDir) -> (Result<Reading, String>, bool) {
    let reading = Reading::take(dir).map_err(|error| error.to_string());
    (reading, dir.daemon_runs())
}

/// What happens at the terminal, which is waited for on a thread of its own.
fn events() -> UnboundedReceiver<Event> {
    let (sender, events) = unbounded_channel();
    thread::spawn(move || {
        while let Ok(event) = event::read()
            && sender.send(event).is_ok()
        {}
    });
    events
}
